import { goZishangClient } from '../clients/go-zishang.ts';
import { java1, java2 } from '../clients/java.ts';
import { javascriptClients } from '../clients/javascript.ts';
import { pythonClients } from '../clients/python.ts';
import { goGoogollee } from '../servers/go-googollee.ts';
import { goZishang } from '../servers/go-zishang.ts';
import { javascriptServers } from '../servers/javascript.ts';
import { netty1, netty2 } from '../servers/netty.ts';
import { pythonServers } from '../servers/python.ts';
import { rustSocketioxide } from '../servers/rust-socketioxide.ts';
import type { ClientKind, ServerKind } from './contract.ts';

/** Every kind of server under test. */
export const SERVERS: readonly ServerKind[] = [
  ...javascriptServers,
  netty1,
  netty2,
  ...pythonServers,
  goZishang,
  goGoogollee,
  rustSocketioxide,
];

/** Every kind of client under test. */
export const CLIENTS: readonly ClientKind[] = [
  ...javascriptClients,
  java1,
  java2,
  ...pythonClients,
  goZishangClient,
];

interface Refusal {
  readonly server: RegExp;
  readonly client: RegExp;
  readonly why: string;
}

/** Pairs of one revision that do not belong together by their own documentation. */
const REFUSALS: readonly Refusal[] = [
  {
    server: /^socket\.io-[2-4]/,
    client: /^socket\.io-client-1$/,
    why: 'by the version table of the Socket.IO documentation client 1 belongs to server 1',
  },
  {
    server: /^socket\.io-1$/,
    client: /^socket\.io-client-2$/,
    why: 'by the version table of the Socket.IO documentation client 2 belongs to server 2',
  },
  {
    server: /^socket\.io-1$/,
    client: /^java-1$/,
    why: 'by the documentation of the Java client its line 1 belongs to server 2',
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
