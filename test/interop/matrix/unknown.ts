import { FLAVOURS, saysSessionUnknown } from '../../../src/engineio/flavours.ts';
import { headerValue } from '../../../src/headers.ts';
import { Closers } from '../../helpers/closers.ts';
import { eventually } from '../../helpers/eventually.ts';
import { ask } from '../../helpers/polling.ts';
import { RawClient } from '../../helpers/raw-client.ts';
import { startTestRouter, type TestRouter } from '../../helpers/router.ts';
import type { ServerKind, ServerNode } from './contract.ts';
import { pathOf } from './stage.ts';

/** How a server says that it does not know a session, and what the router makes of it. */
export interface UnknownAnswer {
  readonly question: Question;
  /** What the server itself said, in short. */
  readonly said: string;
  /** The family that the router recognises in it, if it does. */
  readonly recognised: string | undefined;
  /** What is wrong with the router's way of passing it on; nothing if all is well. */
  readonly problems: readonly string[];
}

const QUESTIONS = ['poll', 'POST', 'upgrade'] as const;
type Question = (typeof QUESTIONS)[number];

const ANSWER_MS = 15_000;

/**
 * Opens sessions through a router, replaces their node by a new one on the same port, and asks for
 * each: the node itself, and through the router.
 */
export async function askForUnknown(kind: ServerKind): Promise<readonly UnknownAnswer[]> {
  const closers = new Closers();
  try {
    const first = closers.add(await kind.start('node-1'));
    const router = closers.add(
      await startTestRouter({
        upstreams: first.url,
        path: pathOf(kind.dialect),
        health: { interval: '1h', check: 'tcp' },
      }),
    );
    const sids: string[] = [];
    while (sids.length < QUESTIONS.length) sids.push(await openSession(kind, router.url));
    await first.process.close('SIGKILL');
    const second = closers.add(await kind.start('node-1', first.port));
    const answers: UnknownAnswer[] = [];
    for (const [index, question] of QUESTIONS.entries()) {
      const target = { kind, question, sid: sids[index] ?? '' };
      answers.push(await compare(target, second, router));
    }
    return answers;
  } finally {
    await closers.close();
  }
}

interface Target {
  readonly kind: ServerKind;
  readonly question: Question;
  readonly sid: string;
}

async function compare(
  target: Target,
  node: ServerNode,
  router: TestRouter,
): Promise<UnknownAnswer> {
  const direct = await put(target, node.port);
  const recognised = recognise(direct);
  const before = sessions(router);
  const routed = await put(target, router.port);
  const problems: string[] = [];
  // How its end is marked is each hop's own business.
  if (routed.status !== direct.status || routed.body !== direct.body) {
    problems.push(`the router says ${inShort(routed)} instead of ${inShort(direct)}`);
  }
  const released = (): boolean => sessions(router) === before - 1;
  if (recognised === undefined) {
    if (!isAnyRefusal(direct)) problems.push(`not recognised: ${JSON.stringify(direct)}`);
  } else {
    await eventually(released, 2000, 'the binding is gone').catch((error: unknown) =>
      problems.push(String(error)),
    );
    const again = inShort(await put({ ...target, question: 'poll' }, router.port));
    if (!again.includes('"code":1')) problems.push(`then the router says ${again}`);
  }
  return { question: target.question, said: inShort(direct, target.sid), recognised, problems };
}

function sessions(router: TestRouter): number {
  return (router.router.status() as { sessions: number }).sessions;
}

async function openSession(kind: ServerKind, url: string): Promise<string> {
  const revision = kind.revisions.includes(4) ? 4 : 3;
  const query = `EIO=${revision}&transport=polling`;
  const { status, body } = await ask(`${url}${pathOf(kind.dialect)}?${query}`);
  const sid = /"sid":"([^"]+)"/.exec(body.toString('latin1'))?.[1];
  if (status !== 200 || sid === undefined) {
    throw new Error(`no session but ${status} ${body.toString()}`);
  }
  return sid;
}

/** Sends the question over a connection of its own; resolves with its answer. */
async function put({ kind, question, sid }: Target, port: number): Promise<Raw> {
  const revision = kind.revisions.includes(4) ? 4 : 3;
  const transport = question === 'upgrade' ? 'websocket' : 'polling';
  const query = `EIO=${revision}&transport=${transport}&sid=${sid}`;
  const body = question === 'POST' ? (revision === 4 ? '2' : '1:2') : '';
  const lines = [
    `${question === 'POST' ? 'POST' : 'GET'} ${pathOf(kind.dialect)}?${query} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    ...(question === 'upgrade'
      ? [
          'Connection: Upgrade',
          'Upgrade: websocket',
          'Sec-WebSocket-Version: 13',
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        ]
      : ['Connection: close']),
    ...(body === '' ? [] : ['Content-Type: text/plain', `Content-Length: ${body.length}`]),
  ];
  const client = new RawClient(port);
  try {
    client.send(`${lines.join('\r\n')}\r\n\r\n${body}`);
    let closed = false;
    void client.closed.then(() => (closed = true));
    // Go's servers keep a connection that they refused to upgrade.
    const answered = (): boolean => closed || hasItsLength(client.received);
    await eventually(answered, ANSWER_MS, `${kind.id} answers a ${question}`);
    return read(client.received);
  } finally {
    client.close();
  }
}

function hasItsLength(received: string): boolean {
  const [head = '', body = ''] = received.split(/\r\n\r\n(.*)/s);
  const length = /^content-length: *(\d+)$/im.exec(head)?.[1];
  return length !== undefined && body.length >= Number(length);
}

/** An answer as it came. */
interface Raw {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly contentLength: number | undefined;
  readonly chunked: boolean;
  readonly body: string;
}

function read(received: string): Raw {
  const end = received.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = received.slice(0, end).split('\r\n');
  const header = (name: string): string | undefined =>
    headerValue(
      lines.flatMap((line) => /^([^:]*): *(.*)$/.exec(line)?.slice(1) ?? []),
      name,
    );
  const length = header('content-length');
  const chunked = header('transfer-encoding') === 'chunked';
  const body = received.slice(end + 4);
  return {
    status: Number(statusLine.split(' ')[1]),
    contentType: header('content-type'),
    contentLength: length === undefined ? undefined : Number(length),
    chunked,
    body: chunked ? unchunked(body) : body,
  };
}

function unchunked(body: string): string {
  const end = body.indexOf('\r\n');
  const size = parseInt(body.slice(0, end), 16);
  if (!(size > 0)) return '';
  return body.slice(end + 2, end + 2 + size) + unchunked(body.slice(end + 4 + size));
}

function recognise(answer: Raw): string | undefined {
  if (answer.status !== 101) return saysSessionUnknown(answer);
  return answer.body === '' ? closingFlavours() : undefined;
}

function closingFlavours(): string {
  const known = FLAVOURS.filter(({ wsUnknown }) => wsUnknown === '101-then-close');
  return known.map(({ flavour }) => flavour).join(' or ');
}

/** An empty refusal may as well come from the application's own checks: nothing is concluded from it. */
function isAnyRefusal({ status, body }: Raw): boolean {
  return status === 403 && body === '';
}

function inShort({ status, contentLength, chunked, body }: Raw, sid = ''): string {
  if (status === 101) return '101, then the end';
  const said = sid === '' ? body : body.replaceAll(sid, 'SID');
  if (said !== '') return `${status} ${said.trim()}`;
  return `${status} without body${contentLength === undefined && !chunked ? ' and length' : ''}`;
}
