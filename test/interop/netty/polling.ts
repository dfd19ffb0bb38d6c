/** What a node says about itself in answer to `whoami`. */
export interface WhoAmI {
  readonly node: string;
  readonly transport: string;
  /** Clients of the node now. */
  readonly clients: number;
  /** Sessions opened on the node since it started. */
  readonly opened: number;
}

const HEADERS = { connection: 'close' };

/** Opens a session over polling the way a browser does that already has an `io` cookie; resolves with its sid. */
export async function handshake(url: string, cookie: string | undefined): Promise<string> {
  const headers = cookie === undefined ? HEADERS : { ...HEADERS, cookie: `io=${cookie}` };
  const response = await fetch(target(url), { headers });
  const [open] = await packets(response);
  if (open?.[0] !== '0') throw new Error(`no open packet: ${String(open)}`);
  return (JSON.parse(open.slice(1)) as { sid: string }).sid;
}

/** Asks the session's node who it is, over polling through the router at `url`. */
export async function whoAmI(url: string, sid: string): Promise<WhoAmI> {
  await post(url, sid, '420["whoami",""]');
  for (;;) {
    const response = await fetch(target(url, sid), { headers: HEADERS });
    const answer = (await packets(response)).find((packet) => packet.startsWith('430'));
    if (answer !== undefined) return (JSON.parse(answer.slice(3)) as [WhoAmI])[0];
  }
}

/** Ends the session with a close packet. */
export async function close(url: string, sid: string): Promise<void> {
  await post(url, sid, '1');
}

async function post(url: string, sid: string, packet: string): Promise<void> {
  const body = `${String(packet.length)}:${packet}`;
  const response = await fetch(target(url, sid), { method: 'POST', headers: HEADERS, body });
  if (!response.ok) throw new Error(`POST answered ${String(response.status)}`);
  await response.text();
}

function target(url: string, sid?: string): string {
  const query = `EIO=3&transport=polling&b64=1${sid === undefined ? '' : `&sid=${sid}`}`;
  return `${url}/socket.io/?${query}`;
}

async function packets(response: Response): Promise<string[]> {
  let payload = await response.text();
  if (!response.ok) throw new Error(`answered ${String(response.status)}: ${payload}`);
  const found: string[] = [];
  while (payload !== '') {
    const colon = payload.indexOf(':');
    const end = colon + 1 + Number(payload.slice(0, colon));
    if (colon < 1 || Number.isNaN(end)) throw new Error(`odd payload: ${payload}`);
    found.push(payload.slice(colon + 1, end));
    payload = payload.slice(end);
  }
  return found;
}
