import { describe, expect, test } from 'vitest';
import { intentOf } from '../../src/engineio/intent.ts';
import type { Intent } from '../../src/engineio/intent.ts';
import type { EngineQuery } from '../../src/engineio/types.ts';

const NOTHING: EngineQuery = {
  transport: undefined,
  eio: undefined,
  sid: undefined,
  jsonp: undefined,
  base64: false,
};
const POLLING: Partial<EngineQuery> = { transport: 'polling', eio: '4' };
const WEBSOCKET: Partial<EngineQuery> = { transport: 'websocket', eio: '4' };

const badMethod: Intent = { kind: 'refuse', code: 'BAD_HANDSHAKE_METHOD' };
const badRequest: Intent = { kind: 'refuse', code: 'SID_MALFORMED' };
const stateless: Intent = { kind: 'stateless' };
const polling: Intent = { kind: 'handshake', transport: 'polling' };
const websocket: Intent = { kind: 'handshake', transport: 'websocket' };

describe('a request without a sid', () => {
  test.each<[string, string, Partial<EngineQuery>, Intent]>([
    ['a polling handshake', 'GET', POLLING, polling],
    ['a handshake that leaves the transport to python', 'GET', { eio: '4' }, polling],
    ['a client file', 'GET', {}, stateless],
    ['a client file’s head', 'HEAD', {}, stateless],
    ['a preflight', 'OPTIONS', POLLING, { kind: 'preflight' }],
    ['a websocket handshake without an upgrade', 'GET', WEBSOCKET, badRequest],
    ['a handshake by HEAD', 'HEAD', POLLING, badMethod],
    ['a handshake by HEAD without transport', 'HEAD', { eio: '4' }, badMethod],
    ['a handshake by POST', 'POST', POLLING, badMethod],
    ['a POST to nothing', 'POST', {}, badMethod],
    ['a PUT', 'PUT', WEBSOCKET, badMethod],
    ['an unknown method', 'get', POLLING, badMethod],
  ])('that is %s', (_what, method, query, intent) => {
    expect(intentOf(method, { ...NOTHING, ...query }, false)).toEqual(intent);
  });

  test.each<[string, string, Partial<EngineQuery>, Intent]>([
    ['websocket', 'GET', WEBSOCKET, websocket],
    ['polling', 'GET', POLLING, badRequest],
    ['no transport', 'GET', { eio: '4' }, badRequest],
    ['a method other than GET', 'POST', WEBSOCKET, badMethod],
  ])('that upgrades with %s', (_what, method, query, intent) => {
    expect(intentOf(method, { ...NOTHING, ...query }, true)).toEqual(intent);
  });
});

describe('a request with a sid', () => {
  test.each(['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS'])(
    'goes to its owner by %s',
    (method) => {
      for (const query of [POLLING, WEBSOCKET, {}]) {
        expect(intentOf(method, { ...NOTHING, ...query, sid: 'abc' }, false)).toEqual({
          kind: 'session',
          sid: 'abc',
        });
      }
    },
  );

  test('goes to its owner as an upgrade, which is a GET', () => {
    const query = { ...NOTHING, ...WEBSOCKET, sid: 'abc' };
    expect(intentOf('GET', query, true)).toEqual({ kind: 'session', sid: 'abc' });
    expect(intentOf('POST', query, true)).toEqual(badMethod);
  });
});
