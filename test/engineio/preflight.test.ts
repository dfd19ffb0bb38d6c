import { describe, expect, test } from 'vitest';
import {
  DEFAULT_RULES,
  preflightAnswer,
  readCrossOriginRules,
} from '../../src/engineio/preflight.ts';
import type { CrossOriginRules } from '../../src/engineio/preflight.ts';

const PAGE = 'https://page.example';
const VARY = { Vary: 'Origin' };
const CONTENT_TYPE = { 'Access-Control-Allow-Headers': 'Content-Type' };

const CLOSED: CrossOriginRules = {
  allowOrigin: undefined,
  allowCredentials: undefined,
  allowHeaders: undefined,
};
const ONE_ORIGIN: CrossOriginRules = {
  allowOrigin: 'https://app.example',
  allowCredentials: 'true',
  allowHeaders: 'x-token',
};

test('what a server allows is read from its answer', () => {
  const headers: Record<string, string> = {
    'access-control-allow-origin': 'https://app.example',
    'access-control-allow-credentials': 'true',
    'access-control-allow-headers': 'x-token',
  };
  expect(readCrossOriginRules((name) => headers[name])).toEqual(ONE_ORIGIN);
  expect(readCrossOriginRules(() => undefined)).toEqual(CLOSED);
});

describe('a preflight is answered', () => {
  test.each<[string, CrossOriginRules, string | undefined, Record<string, string>]>([
    [
      'with the page’s origin if the server names whatever origin asks',
      DEFAULT_RULES,
      PAGE,
      {
        ...VARY,
        'Access-Control-Allow-Origin': PAGE,
        'Access-Control-Allow-Credentials': 'true',
        ...CONTENT_TYPE,
      },
    ],
    [
      'with a star to a request without origin',
      DEFAULT_RULES,
      undefined,
      { ...VARY, 'Access-Control-Allow-Origin': '*', ...CONTENT_TYPE },
    ],
    [
      'with the one origin and the headers that the server allows, whoever asks',
      ONE_ORIGIN,
      PAGE,
      {
        ...VARY,
        'Access-Control-Allow-Origin': 'https://app.example',
        'Access-Control-Allow-Credentials': 'true',
        'Access-Control-Allow-Headers': 'Content-Type, x-token',
      },
    ],
    ['without an origin if the server allows none', CLOSED, PAGE, { ...VARY, ...CONTENT_TYPE }],
  ])('%s', (_how, rules, origin, headers) => {
    const answer = preflightAnswer(rules, origin);
    expect(answer).toMatchObject({ status: 200, body: '' });
    expect(Object.fromEntries(answer.headers)).toEqual(headers);
  });
});
