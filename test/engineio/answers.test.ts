import { describe, expect, test } from 'vitest';
import { engineAnswer } from '../../src/engineio/answers.ts';
import { ERRORS } from '../../src/errors.ts';
import type { ErrorCode } from '../../src/errors.ts';

const CODES = Object.keys(ERRORS) as ErrorCode[];

describe('an answer of the router', () => {
  test.each<[ErrorCode, string]>([
    ['SID_UNKNOWN', '{"code":1,"message":"Session ID unknown"}'],
    ['BAD_HANDSHAKE_METHOD', '{"code":2,"message":"Bad handshake method"}'],
    ['SID_MALFORMED', '{"code":3,"message":"Bad request"}'],
  ])('for %s is Engine.IO’s own', (code, body) => {
    expect(engineAnswer(code, undefined)).toEqual({
      status: 400,
      headers: [
        ['Content-Type', 'application/json'],
        ['Cache-Control', 'no-store'],
      ],
      body,
    });
  });

  test('for anything else bears the router’s code and message', () => {
    expect(engineAnswer('NO_UPSTREAM', undefined)).toEqual({
      status: 503,
      headers: [
        ['Content-Type', 'application/json'],
        ['Cache-Control', 'no-store'],
        ['Retry-After', '1'],
      ],
      body: '{"code":"NO_UPSTREAM","message":"no upstream is available"}',
    });
  });

  test.each(CODES)('for %s has the status of the error table', (code) => {
    const answer = engineAnswer(code, undefined);
    expect(answer.status).toBe(ERRORS[code].status);
    expect(JSON.parse(answer.body)).toHaveProperty('message');
    expect(new Map(answer.headers).has('Retry-After')).toBe(answer.status === 503);
  });

  test.each(['https://chat.example', 'null'])('can be read by a page of origin %s', (origin) => {
    const headers = new Map(engineAnswer('SID_UNKNOWN', origin).headers);
    expect(headers.get('Access-Control-Allow-Origin')).toBe(origin);
    expect(headers.get('Access-Control-Allow-Credentials')).toBe('true');
    expect(headers.get('Vary')).toBe('Origin');
  });
});
