import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  clientAddress,
  forwardingHeaders,
  TrustedProxies,
  type ForwardingFacts,
} from '../src/forwarding.ts';

const STRANGER: ForwardingFacts = {
  remoteAddress: '203.0.113.9',
  clientAddress: '203.0.113.9',
  secure: false,
  trusted: false,
};
const FRONT: ForwardingFacts = {
  remoteAddress: '::ffff:10.0.0.1',
  clientAddress: '198.51.100.7',
  secure: false,
  trusted: true,
};
const CLAIMS = ['X-Forwarded-For', '198.51.100.7', 'X-Forwarded-Proto', 'https'];
CLAIMS.push('X-Forwarded-Host', 'chat.example', 'X-Forwarded-Port', '443', 'X_Forwarded_Port', '1');

describe('forwardingHeaders', () => {
  test('what a stranger claims is replaced by what we see', () => {
    expect(forwardingHeaders(CLAIMS, STRANGER, 'a:80')).toEqual([
      ['X-Forwarded-For', '203.0.113.9'],
      ['X-Forwarded-Proto', 'http'],
      ['X-Real-IP', '203.0.113.9'],
      ['X-Forwarded-Host', 'a:80'],
    ]);
  });

  test('what a trusted proxy says is continued', () => {
    expect(forwardingHeaders(CLAIMS, FRONT, 'inner:80')).toEqual([
      ['X-Forwarded-For', '198.51.100.7, 10.0.0.1'],
      ['X-Forwarded-Proto', 'https'],
      ['X-Real-IP', '198.51.100.7'],
      ['X-Forwarded-Host', 'chat.example'],
      ['X-Forwarded-Port', '443'],
    ]);
  });

  test('a trusted proxy that says nothing gets what we see', () => {
    expect(forwardingHeaders([], { ...FRONT, secure: true }, 'inner:80')).toEqual([
      ['X-Forwarded-For', '10.0.0.1'],
      ['X-Forwarded-Proto', 'https'],
      ['X-Real-IP', '198.51.100.7'],
      ['X-Forwarded-Host', 'inner:80'],
    ]);
  });

  test('a request without Host gets no X-Forwarded-Host', () => {
    const names = forwardingHeaders([], STRANGER, undefined).map(([name]) => name);
    expect(names).toEqual(['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Real-IP']);
  });
});

describe('TrustedProxies', () => {
  test('knows ranges and single addresses of both families, IPv4-mapped ones as IPv4', () => {
    const proxies = new TrustedProxies(['10.0.0.0/8', 'fd00::/8', '192.0.2.1', '2001:db8::1']);
    const trusted = ['10.1.2.3', '::ffff:10.1.2.3', 'fd12::1', '192.0.2.1', '2001:db8::1'];
    expect(trusted.filter((address) => proxies.has(address))).toEqual(trusted);
    const others = [
      '11.0.0.1',
      '::ffff:11.0.0.1',
      'fe00::1',
      '192.0.2.2',
      '',
      '10.1',
      '0x0a000001',
      'x',
    ];
    expect(others.filter((address) => proxies.has(address))).toEqual([]);
  });

  test('an empty list trusts nobody', () => {
    expect(new TrustedProxies([]).has('127.0.0.1')).toBe(false);
  });

  test('what is no address and no range is a configuration error', () => {
    expect(() => new TrustedProxies(['10.0.0.0/33'])).toThrow('10.0.0.0/33');
  });

  test('more addresses than the cache holds get the same answers', () => {
    const proxies = new TrustedProxies(['10.0.0.0/8']);
    for (let i = 0; i < 3000; i += 1) {
      const tail = `${String(i >> 8)}.${String(i & 255)}`;
      expect(proxies.has(`10.0.${tail}`)).toBe(true);
      expect(proxies.has(`11.0.${tail}`)).toBe(false);
    }
  });
});

describe('clientAddress', () => {
  const proxies = new TrustedProxies(['10.0.0.0/8', '::1']);
  const from = (forwardedFor: string, peer = '10.0.0.1'): string =>
    clientAddress(['X-Forwarded-For', forwardedFor], peer, proxies);

  test('a stranger is the client, whatever it claims', () => {
    expect(from('1.1.1.1', '::ffff:203.0.113.9')).toBe('203.0.113.9');
  });

  test('behind trusted proxies it is the rightmost address that is none of them', () => {
    expect(from('6.6.6.6, 198.51.100.7, 10.0.0.2')).toBe('198.51.100.7');
    expect(from('10.0.0.3,10.0.0.2', '::1')).toBe('10.0.0.3');
    expect(clientAddress([], '10.0.0.1', proxies)).toBe('10.0.0.1');
  });

  test('ports, brackets and mapped addresses are read, and an entry that is no address ends the search', () => {
    expect(from('198.51.100.7:4711')).toBe('198.51.100.7');
    expect(from('[2001:db8::7]:4711, ::ffff:10.0.0.9')).toBe('2001:db8::7');
    expect(from('198.51.100.7, unknown, 10.0.0.2')).toBe('10.0.0.2');
    expect(from('')).toBe('10.0.0.1');
  });

  test('nothing to the left of the first stranger changes the answer', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-f.:, _x]{0,30}$/), (forged) => {
        expect(from(`${forged}, 198.51.100.7, 10.0.0.2`)).toBe('198.51.100.7');
      }),
    );
  });
});
