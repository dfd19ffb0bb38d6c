import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  FLAVOURS,
  opensOnPreflight,
  recogniseFlavour,
  saysSessionUnknown,
} from '../../src/engineio/flavours.ts';
import type { SessionAnswer } from '../../src/engineio/flavours.ts';
import type { Flavour, OpenPacket } from '../../src/engineio/types.ts';

const NODE = 'lv_VI97HAXpY6yYWAAAB';
const NETTY = '6c1f2b1e-9d6a-4f0e-8a44-0f6c1d2e3f40';
const NODE_UNKNOWN = '{"code":1,"message":"Session ID unknown"}';

function recognise(
  sid: string,
  headers: Record<string, string>,
  framing: OpenPacket['framing'] = 'eio4',
): Flavour {
  const open = { sid, pingIntervalMs: 25_000, pingTimeoutMs: 20_000, upgrades: [], framing };
  return recogniseFlavour(open, (name) => headers[name]);
}

describe('a handshake’s answer', () => {
  test.each<[string, Flavour, string, Record<string, string>, OpenPacket['framing']]>([
    ['Node 4', 'node', NODE, { 'cache-control': 'no-store' }, 'eio4'],
    ['Node 3 kept alive', 'node', NODE, { 'keep-alive': 'timeout=5' }, 'eio4'],
    [
      'Node 2',
      'node',
      NODE,
      { 'set-cookie': `io=${NODE}; Path=/; HttpOnly; SameSite=Strict` },
      'eio3-text',
    ],
    ['Node without any mark', 'unknown', NODE, {}, 'eio4'],
    [
      'Node behind nginx',
      'unknown',
      NODE,
      { server: 'nginx', 'cache-control': 'no-store' },
      'eio4',
    ],
    ['python 4 on aiohttp', 'python', NODE, { server: 'Python/3.11 aiohttp/3.14.3' }, 'eio4'],
    ['python 4 on uvicorn', 'python', NODE, { server: 'uvicorn' }, 'eio4'],
    [
      'python 3',
      'python',
      '2f8c2b0a7d0e4e6f9a3b1c5d7e9f0a1b',
      { server: 'Werkzeug/3 Python/3.11' },
      'eio3-binary',
    ],
    ['netty', 'netty', NETTY, { 'set-cookie': `io=${NETTY}` }, 'eio3-binary'],
    [
      'netty and a cookie of a balancer',
      'netty',
      NETTY,
      { 'set-cookie': `SRV=a; path=/, io=${NETTY}` },
      'eio4',
    ],
    ['Node with UUIDs of its own', 'unknown', NETTY, { 'cache-control': 'no-store' }, 'eio4'],
    [
      'Node 2 with UUIDs of its own',
      'unknown',
      NETTY,
      { 'set-cookie': `io=${NETTY}; Path=/` },
      'eio3-text',
    ],
    ['netty over WebSocket, without a cookie', 'unknown', NETTY, {}, 'eio4'],
    ['googollee', 'go-googollee', '1', {}, 'eio3-binary'],
    ['googollee after a while', 'go-googollee', 'zz10', {}, 'eio3-text'],
    ['a counter over Engine.IO 4', 'unknown', '1', {}, 'eio4'],
    ['socketioxide', 'rust', 'AAbbCCddEEff-_00', {}, 'eio4'],
    ['phpsocket.io', 'php', '41d9a1b2c3d4e5f600a1b2c3', {}, 'eio3-text'],
    ['zishang', 'go-zishang', 'AAbbCCddEEff-_00AAbbCCdd', {}, 'eio4'],
    ['something else', 'unknown', 'my.own~id', {}, 'eio4'],
  ])('of %s reads as %s', (_server, flavour, sid, headers, framing) => {
    expect(recognise(sid, headers, framing)).toBe(flavour);
  });
});

function answer(status: number, body: string, rest: Partial<SessionAnswer> = {}): SessionAnswer {
  return { status, contentType: undefined, contentLength: body.length, body, ...rest };
}

describe('an answer', () => {
  test.each<[string, SessionAnswer, Flavour]>([
    ['Node', answer(400, NODE_UNKNOWN, { contentLength: undefined, chunked: true }), 'node'],
    [
      'a server with another order of keys',
      answer(400, '{"message":"Session ID unknown","code":1}'),
      'node',
    ],
    ['Node to an upgrade', answer(400, 'Session ID unknown', { contentType: 'text/html' }), 'node'],
    [
      'zishang to an upgrade',
      answer(400, 'Session ID unknown', { contentType: 'text/plain; charset=utf-8' }),
      'go-zishang',
    ],
    ['socketioxide', answer(400, '{"code":"1","message":"Session ID unknown"}'), 'rust'],
    ['python', answer(400, `"Invalid session ${NODE}"`), 'python'],
    ['python without JSON', answer(400, `Invalid session ${NODE}`), 'python'],
    [
      'python about a session just closed',
      answer(400, `"'Session is disconnected' ${NODE}"`),
      'python',
    ],
    ['googollee', answer(400, 'invalid sid value: 7'), 'go-googollee'],
    ['netty', answer(500, '', { contentLength: undefined }), 'netty'],
    [
      'netty, said explicitly',
      answer(500, '', { contentLength: undefined, chunked: false }),
      'netty',
    ],
    ['phpsocket.io', answer(403, '{"code":"1","message":"Session ID unknown"}'), 'php'],
    ['an older phpsocket.io', answer(403, NODE_UNKNOWN), 'php'],
  ])('of %s says that the session is unknown', (_server, said, flavour) => {
    expect(saysSessionUnknown(said)).toBe(flavour);
  });

  test.each<[string, SessionAnswer]>([
    ['a late poll on Node', answer(400, '{"code":3,"message":"Bad request"}')],
    ['a wrong transport on Node', answer(400, '{"code":0,"message":"Transport unknown"}')],
    ['a refusal by Node', answer(403, '{"code":4,"message":"Forbidden"}')],
    [
      'a bad method or overlapping polls on Node',
      answer(500, '', { contentLength: undefined, chunked: true }),
    ],
    ['an empty 500 with a length', answer(500, '')],
    ['an empty 502 without length', answer(502, '', { contentLength: undefined })],
    ['a refusal by an application on uvicorn', answer(403, '')],
    ['a late poll on python', answer(400, '"Invalid transport"')],
    ['an application’s own code 1', answer(400, '{"code":1,"message":"no"}')],
    [
      'an application that quotes the words',
      answer(400, '{"code":1,"error":"Session ID unknown"}'),
    ],
    [
      'code 1 with the words elsewhere',
      answer(400, '{"code":1,"message":"no","was":"Session ID unknown"}'),
    ],
    ['the message alone', answer(400, '{"message":"Session ID unknown"}')],
    ['the words as a string', answer(400, '"Session ID unknown"')],
    ['null beside the words', answer(400, '{"code":null,"message":"Session ID unknown"}')],
    ['another code with the words', answer(400, '{"code":2,"message":"Session ID unknown"}')],
    ['broken JSON', answer(400, '{"code":1,"message":"Session ID unknown"')],
    ['the words as plain text', answer(400, 'Session ID unknown', { contentType: 'text/plain' })],
    ['a page', answer(404, '<h1>Session ID unknown</h1>')],
    ['a message in a poll', answer(200, NODE_UNKNOWN)],
    ['an echo in a poll', answer(200, `"Invalid session ${NODE}"`)],
  ])('that is %s does not', (_what, said) => {
    expect(saysSessionUnknown(said)).toBeUndefined();
  });

  test('of any bytes is taken, and none below 400 ever counts', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(200, 204, 304, 400, 403, 500),
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.json().map((json) => `{"code":${json},"message":"Session ID unknown"}`),
        ),
        fc.option(fc.nat(), { nil: undefined }),
        (status, body, contentLength) => {
          const flavour = saysSessionUnknown({
            status,
            contentType: 'text/html',
            contentLength,
            body,
          });
          if (status < 400) expect(flavour).toBeUndefined();
        },
      ),
    );
  });
});

test('every flavour has one entry, and the one that fits all comes last', () => {
  const names = FLAVOURS.map(({ flavour }) => flavour);
  expect(new Set(names).size).toBe(8);
  expect(names).toHaveLength(8);
  expect(names.at(-1)).toBe('unknown');
});

test('only netty and rust answer an unknown upgrade with 101', () => {
  const silent = FLAVOURS.filter(({ wsUnknown }) => wsUnknown === '101-then-close');
  expect(silent.map(({ flavour }) => flavour)).toEqual(['netty', 'rust']);
});

test('netty and googollee open a session for a preflight, no other family does', () => {
  const opening = FLAVOURS.map(({ flavour }) => flavour).filter(opensOnPreflight);
  expect(opening).toEqual(['netty', 'go-googollee']);
});
