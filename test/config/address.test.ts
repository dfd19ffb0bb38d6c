import { describe, expect, test } from 'vitest';
import {
  formatHostPort,
  isLoopback,
  isWildcard,
  parseCidr,
  parseListenAddress,
  parseRedisAddress,
  parseRedisUrl,
  parseUpstreamUrl,
} from '../../src/config/address.ts';

describe('a listen address', () => {
  test.each([
    ['127.0.0.1:8099', '127.0.0.1', 8099],
    ['[::1]:80', '::1', 80],
    [':8099', '0.0.0.0', 8099],
    ['8099', '127.0.0.1', 8099],
    ['chat.example:0', 'chat.example', 0],
    ['[::]:65535', '::', 65_535],
  ])('%s means %s, port %i', (text, host, port) => {
    expect(parseListenAddress(text)).toEqual({ ok: true, value: { host, port } });
  });

  test.each([
    '',
    ':',
    'localhost',
    'localhost:',
    '::1:80',
    '[::1]',
    '[127.0.0.1]:80',
    '127.0.0.1:65536',
    '1.2.3:80',
    '256.1.1.1:80',
    'a b:80',
    '/run/unsticky.sock',
    'http://127.0.0.1:80',
    '-a:80',
    '127.0.0.1:8o99',
  ])('%j is refused', (text) => {
    expect(parseListenAddress(text).ok).toBe(false);
  });

  test('prints as it is written, with brackets around IPv6', () => {
    expect(formatHostPort({ host: '::1', port: 80 })).toBe('[::1]:80');
    expect(formatHostPort({ host: 'a', port: 80 })).toBe('a:80');
  });

  test('is known as loopback or wildcard', () => {
    const hosts = ['127.0.0.1', '127.9.9.9', '::1', 'localhost', '0.0.0.0', '::', '10.0.0.1', 'a'];
    expect(hosts.filter(isLoopback)).toEqual(['127.0.0.1', '127.9.9.9', '::1', 'localhost']);
    expect(hosts.filter(isWildcard)).toEqual(['0.0.0.0', '::']);
  });
});

describe("an upstream's URL", () => {
  test.each([
    ['http://127.0.0.1:10015', 'http://127.0.0.1:10015', '127.0.0.1', 10_015, false],
    ['http://chat/', 'http://chat', 'chat', 80, false],
    ['https://chat.example', 'https://chat.example', 'chat.example', 443, true],
    ['HTTPS://[::1]:8443', 'https://[::1]:8443', '::1', 8443, true],
  ])('%s is taken apart', (text, url, host, port, tls) => {
    expect(parseUpstreamUrl(text)).toEqual({ ok: true, value: { url, host, port, tls } });
  });

  test.each([
    '',
    'chat:80',
    'ws://chat',
    'http://',
    'http://u:p@chat',
    'http://u@chat',
    'http://chat/path',
    'http://chat?',
    'http://chat/#a',
    'http://chat:0',
    'http://chat:99999',
    'http://a b',
    'http:\\\\chat',
    'http://chat\n',
  ])('%j is refused', (text) => {
    expect(parseUpstreamUrl(text).ok).toBe(false);
  });
});

describe('a Redis URL', () => {
  test('without anything but a host means port 6379 without TLS', () => {
    expect(parseRedisUrl('redis://cache')).toEqual({
      ok: true,
      value: {
        host: 'cache',
        port: 6379,
        tls: false,
        username: undefined,
        password: undefined,
        database: undefined,
      },
    });
  });

  test('gives up user, password and database, decoded', () => {
    expect(parseRedisUrl('rediss://user:p%40ss%2f@[::1]:6380/3')).toEqual({
      ok: true,
      value: {
        host: '::1',
        port: 6380,
        tls: true,
        username: 'user',
        password: 'p@ss/',
        database: 3,
      },
    });
  });

  test.each([
    'cache:6379',
    'redis:cache',
    'redis://',
    'redis://:p@',
    'redis://cache/x',
    'redis://cache?db=1',
    'redis://cache:x',
    'redis://:%zz@cache',
    'redis://:a/b@cache',
    'redis://c ache',
  ])('%j is refused', (text) => {
    expect(parseRedisUrl(text).ok).toBe(false);
  });

  test.each(['cache', 'cache:0', ':6379', '6379'])('%j is no address of a Redis', (text) => {
    expect(parseRedisAddress(text).ok).toBe(false);
  });
});

describe('a range of addresses', () => {
  test.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['10.0.0.1', '10.0.0.1/32'],
    ['::1', '::1/128'],
    ['fd00::/8', 'fd00::/8'],
  ])('%s is read as %s', (text, range) => {
    expect(parseCidr(text)).toEqual({ ok: true, value: range });
  });

  test.each([
    '',
    '10.0.0.0/33',
    '::/129',
    '10.0.0/8',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    'a/8',
    'fe80::1%eth0',
  ])('%j is refused', (text) => {
    expect(parseCidr(text).ok).toBe(false);
  });
});
