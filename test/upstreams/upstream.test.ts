import { describe, expect, test } from 'vitest';
import { Upstream } from '../../src/upstreams/upstream.ts';
import { recordingLog } from '../helpers/recording-log.ts';
import type { LogLine } from '../helpers/recording-log.ts';

interface Subject {
  readonly upstream: Upstream;
  readonly lines: readonly LogLine[];
  /** Counts `onDead` calls. */
  readonly deaths: () => number;
  readonly advance: (ms: number) => void;
}

function createSubject(): Subject {
  let now = 0;
  let deaths = 0;
  const { log, lines } = recordingLog();
  const config = { id: 'a', url: 'http://a:1', host: 'a', port: 1, tls: false, weight: 1 };
  const upstream = new Upstream({ config, log, now: () => now, random: () => 0 });
  upstream.onDead(() => deaths++);
  return {
    upstream,
    lines,
    deaths: () => deaths,
    advance: (ms) => {
      now += ms;
    },
  };
}

describe('passive ejection', () => {
  test('begins with the first failed connect and ends after the pause', () => {
    const { upstream, advance } = createSubject();
    expect(upstream.available).toBe(true);
    upstream.connectFailed('refused');
    expect(upstream.available).toBe(false);
    advance(999);
    expect(upstream.available).toBe(false);
    advance(1);
    expect(upstream.available).toBe(true);
  });

  test('admits one trial at a time after the pause', () => {
    const { upstream, advance } = createSubject();
    upstream.connectFailed('refused');
    advance(1_000);
    upstream.handshakesInFlight++;
    expect(upstream.available).toBe(false);
    upstream.handshakesInFlight--;
    expect(upstream.available).toBe(true);
  });

  test('lengthens when the trial fails too', () => {
    const { upstream, advance } = createSubject();
    upstream.connectFailed('refused');
    advance(1_000);
    upstream.connectFailed('refused');
    advance(1_999);
    expect(upstream.available).toBe(false);
    advance(1);
    expect(upstream.available).toBe(true);
  });

  test('counts connects that fail together as one failure, in one log line', () => {
    const { upstream, lines, advance } = createSubject();
    for (let i = 0; i < 50; i++) upstream.connectFailed('refused');
    advance(1_000);
    expect(upstream.available).toBe(true);
    expect(lines).toHaveLength(1);
  });

  test('ends at once when a connection stands', () => {
    const { upstream } = createSubject();
    upstream.connectFailed('refused');
    upstream.connected();
    upstream.handshakesInFlight = 5;
    expect(upstream.available).toBe(true);
  });

  test('begins with the shortest pause again after a success', () => {
    const { upstream, advance } = createSubject();
    for (let i = 0; i < 5; i++) {
      upstream.connectFailed('refused');
      advance(30_000);
    }
    upstream.connected();
    upstream.connectFailed('refused');
    advance(1_000);
    expect(upstream.available).toBe(true);
  });

  test('never makes an upstream dead', () => {
    const { upstream, deaths, advance } = createSubject();
    for (let i = 0; i < 20; i++) {
      upstream.connectFailed('refused');
      advance(30_000);
    }
    expect([upstream.dead, upstream.usable, deaths()]).toEqual([false, true, 0]);
  });
});

describe('active checks', () => {
  test('one failure changes nothing', () => {
    const { upstream, lines } = createSubject();
    upstream.checkFailed('refused', false);
    expect([upstream.health, upstream.available, lines.length]).toEqual(['healthy', true, 0]);
  });

  test('two unanswered checks in a row make it dead and tell it once', () => {
    const { upstream, deaths, lines } = createSubject();
    for (let i = 0; i < 5; i++) upstream.checkFailed('refused', false);
    expect([upstream.dead, upstream.available, deaths()]).toEqual([true, false, 1]);
    expect(lines.map(({ level }) => level)).toEqual(['error']);
  });

  test('HTTP errors make it unhealthy but never dead', () => {
    const { upstream, deaths, lines } = createSubject();
    for (let i = 0; i < 5; i++) upstream.checkFailed('status 500', true);
    expect([upstream.health, upstream.available, deaths()]).toEqual(['unhealthy', false, 0]);
    expect(lines.map(({ level }) => level)).toEqual(['warn']);
  });

  test('an answered and an unanswered failure make it unhealthy; another unanswered one, dead', () => {
    const { upstream, deaths } = createSubject();
    upstream.checkFailed('status 500', true);
    upstream.checkFailed('refused', false);
    expect([upstream.health, deaths()]).toEqual(['unhealthy', 0]);
    upstream.checkFailed('refused', false);
    expect([upstream.health, deaths()]).toEqual(['dead', 1]);
  });

  test('an HTTP error from a dead one shows that it lives', () => {
    const { upstream } = createSubject();
    upstream.checkFailed('refused', false);
    upstream.checkFailed('refused', false);
    upstream.checkFailed('status 503', true);
    expect(upstream.health).toBe('unhealthy');
  });

  test('one pass makes it healthy and ends an ejection', () => {
    const { upstream, lines } = createSubject();
    upstream.connectFailed('refused');
    upstream.checkFailed('refused', false);
    upstream.checkFailed('refused', false);
    upstream.checkPassed();
    expect([upstream.health, upstream.available]).toEqual(['healthy', true]);
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'error', 'info', 'info']);
  });

  test('a pass in between starts the count again', () => {
    const { upstream } = createSubject();
    for (let i = 0; i < 5; i++) {
      upstream.checkFailed('refused', false);
      upstream.checkPassed();
    }
    expect(upstream.health).toBe('healthy');
  });

  test('each death is told, but not to those who stopped listening', () => {
    const { upstream, deaths } = createSubject();
    let heard = 0;
    const stop = upstream.onDead(() => {
      heard++;
      stop();
    });
    for (let i = 0; i < 3; i++) {
      upstream.checkFailed('refused', false);
      upstream.checkFailed('refused', false);
      upstream.checkPassed();
    }
    expect([deaths(), heard]).toEqual([3, 1]);
  });
});

test('an upstream that left the configuration takes no new session', () => {
  const { upstream } = createSubject();
  upstream.remove();
  expect([upstream.available, upstream.usable, upstream.removed]).toEqual([false, false, true]);
});
