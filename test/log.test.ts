import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LogWriter } from '../src/log-writer.ts';
import type { AccessRecord } from '../src/log.ts';
import { createLogger, logAccess, sidHash } from '../src/log.ts';
import { withDeadline } from './helpers/deadline.ts';

const RECORD: AccessRecord = {
  method: 'GET',
  path: '/socket.io/',
  status: 200,
  transport: 'polling',
  upstream: 'chat-1',
  sid: sidHash('abc'),
  ms: 12,
  bytes: 34,
  outcome: 'ok',
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'unsticky-log-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function memory(): { readonly lines: () => Record<string, unknown>[]; write(text: string): void } {
  let text = '';
  return {
    write: (more) => {
      text += more;
    },
    lines: () =>
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

/** A program that logs 10 MB to its standard output, whatever becomes of it, and exits with 7. */
function floodScript(): string {
  const source = fileURLToPath(new URL('../src/log-writer.ts', import.meta.url));
  const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  });
  writeFileSync(join(folder, 'log-writer.mjs'), outputText);
  const script = join(folder, 'flood.mjs');
  writeFileSync(
    script,
    `import { LogWriter } from './log-writer.mjs';
     import { setImmediate } from 'node:timers/promises';
     const writer = new LogWriter(1);
     const line = 'x'.repeat(99) + '\\n';
     for (let turn = 0; turn < 100; turn += 1) {
       for (let index = 0; index < 1000; index += 1) writer.write(line);
       await setImmediate();
     }
     await writer.flush();
     process.stderr.write('dropped ' + writer.dropped + '\\n');
     process.exit(7);`,
  );
  return script;
}

describe('a line', () => {
  test('is one JSON object with level, time, message and the fields of its logger', () => {
    const sink = memory();
    const log = createLogger({ level: 'info', pretty: false, destination: sink });
    log.child({ replica: 'a' }).warn({ upstream: 'chat-1' }, 'upstream went down');
    expect(sink.lines()).toEqual([
      {
        level: 'warn',
        time: expect.any(Number) as number,
        replica: 'a',
        upstream: 'chat-1',
        msg: 'upstream went down',
      },
    ]);
  });

  test('below the level is not written', () => {
    const sink = memory();
    const log = createLogger({ level: 'warn', pretty: false, destination: sink });
    log.info('quiet');
    log.error('loud');
    expect(sink.lines().map((line) => line['msg'])).toEqual(['loud']);
  });

  test('for people is a single line without JSON around it', () => {
    let text = '';
    const destination = { write: (more: string) => (text += more) };
    createLogger({ level: 'info', pretty: true, destination }).info({ port: 8099 }, 'listening');
    expect(text).toMatch(/INFO.*listening.*port.*8099.*\n$/);
    expect(text.split('\n')).toHaveLength(2);
  });
});

describe('an access line', () => {
  test('carries the record as it is', () => {
    const sink = memory();
    logAccess(createLogger({ level: 'info', pretty: false, destination: sink }), RECORD);
    expect(sink.lines()[0]).toMatchObject({ ...RECORD, msg: 'request' });
  });

  test('never holds a query, a control character or more than 256 characters of a client', () => {
    const sink = memory();
    const log = createLogger({ level: 'info', pretty: false, destination: sink });
    logAccess(log, { ...RECORD, path: '/a\u001b[31m\n\u009b?sid=secret\nx' });
    logAccess(log, { ...RECORD, path: '/'.padEnd(9999, 'x') });
    expect(sink.lines()[0]?.['path']).toBe('/a?[31m??');
    expect(sink.lines()[1]?.['path']).toHaveLength(256);
  });

  test('names a session by eight hex digits that are always the same', () => {
    expect(sidHash('abc')).toBe('ba7816bf');
  });
});

describe('the log target', () => {
  test('may be a file: every line arrives, in order', async () => {
    const file = join(folder, 'out.log');
    const fd = openSync(file, 'w');
    const log = createLogger({ level: 'info', pretty: false, destination: fd });
    for (let index = 0; index < 1000; index += 1) log.info({ index }, 'line');
    await log.flush();
    closeSync(fd);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { index: number }).index)).toEqual(
      Array.from({ length: 1000 }, (_, index) => index),
    );
  });

  test('may be full: lines are dropped and counted, nothing is thrown', async () => {
    const fd = openSync('/dev/full', 'w');
    const writer = new LogWriter(fd);
    for (let round = 0; round < 3; round += 1) {
      for (let index = 0; index < 10; index += 1) writer.write('line\n');
      await writer.flush();
    }
    expect(writer.dropped).toBe(30);
    closeSync(fd);
  });

  test.each(['stalled', 'gone'])(
    'may be a pipe that is %s: the process goes on, bounded, and exits at once',
    async (kind) => {
      const child = spawn(process.execPath, [floodScript()], { stdio: ['ignore', 'pipe', 'pipe'] });
      if (kind === 'gone') child.stdout.destroy();
      let report = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (report += text));
      const code = await withDeadline(
        new Promise((resolve) => child.once('exit', resolve)),
        10_000,
        `exit of a process whose log pipe is ${kind}`,
      );
      const dropped = Number(/^dropped (\d+)\n$/.exec(report)?.[1]);
      expect(code).toBe(7);
      // 4 MiB wait in the writer, and the pipe itself takes a little.
      expect(dropped).toBeGreaterThan(50_000);
    },
  );
});
