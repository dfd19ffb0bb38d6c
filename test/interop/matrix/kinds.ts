import { javascriptClients } from '../clients/javascript.ts';
import { javascriptServers } from '../servers/javascript.ts';
import type { ClientKind, ServerKind } from './contract.ts';

/** Every kind of server under test. */
export const SERVERS: readonly ServerKind[] = [...javascriptServers];

/** Every kind of client under test. */
export const CLIENTS: readonly ClientKind[] = [...javascriptClients];

interface Refusal {
  readonly server: RegExp;
  readonly client: RegExp;
  readonly why: string;
}

const SOCKET_IO_TABLE = 'by the version table of the Socket.IO documentation';

/** Pairs of one revision that do not belong together by their own documentation. */
const REFUSALS: readonly Refusal[] = [
  {
    server: /^socket\.io-[2-4]/,
    client: /^(socket\.io-client|java)-1$/,
    why: `client 1 belongs to server 1 ${SOCKET_IO_TABLE}`,
  },
  {
    server: /^socket\.io-1$/,
    client: /^socket\.io-client-2$/,
    why: `client 2 belongs to server 2 ${SOCKET_IO_TABLE}: packets with binary data differ`,
  },
];

/** Why a client is not for a server, or undefined if it is. */
export function whyIncompatible(server: ServerKind, client: ClientKind): string | undefined {
  if (server.dialect !== client.dialect) return 'a bare Engine.IO side has no events';
  if (!server.revisions.includes(client.revision)) {
    const revisions = server.revisions.join(' and ');
    return `the client speaks Engine.IO ${client.revision}, the server ${revisions}`;
  }
  return REFUSALS.find(
    (refusal) => refusal.server.test(server.id) && refusal.client.test(client.id),
  )?.why;
}
