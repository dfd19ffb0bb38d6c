import { startRedis } from '../../helpers/redis.ts';
import type { ClientKind, ServerKind, Transports } from './contract.ts';
import { Limit } from './limit.ts';
import { Reception } from './reception.ts';
import { canUse, judge, TRANSPORTS, type Result } from './results.ts';
import { play, type Outcome } from './scenario.ts';
import type { Pair } from './selection.ts';
import { setStage, type Stage, type Topology } from './stage.ts';
import { askForUnknown, type UnknownAnswer } from './unknown.ts';

/** Kinds of servers that run side by side, and scenarios, which wait most of their time. */
const KINDS_AT_ONCE = 3;
const SCENARIOS_AT_ONCE = 24;
/** Enough for two cores: a client, a server and the router share the work. */
const BUSY_AT_ONCE = 3;

/** What one kind of server has shown. */
export interface KindReport {
  readonly server: ServerKind;
  readonly results: readonly Result[];
  readonly unknown: readonly UnknownAnswer[];
  /** What is wrong with the kind as a whole: it does not start, or one of its nodes idles. */
  readonly problems: readonly string[];
}

/** Told of what has been played. */
export type OnResult = (result: Result) => void;

/** Plays all scenarios of all pairs. */
export async function playAll(
  pairs: readonly Pair[],
  onResult: OnResult,
): Promise<readonly KindReport[]> {
  const redis = await startRedis();
  // Programs of the kinds end with their standard input; Redis does not.
  const interrupt = (): void => void redis.close().finally(() => process.exit(1));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const kinds = new Limit(KINDS_AT_ONCE);
  const scenarios = new Limit(SCENARIOS_AT_ONCE);
  const busy = new Limit(BUSY_AT_ONCE);
  const servers = [...new Set(pairs.map(({ server }) => server))];
  try {
    return await Promise.all(
      servers.map((server) => {
        const clients = pairs.filter((pair) => pair.server === server).map(({ client }) => client);
        const plan = { server, clients, redisUrl: redis.url, scenarios, busy, onResult };
        return kinds.run(() => playKind(plan));
      }),
    );
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await redis.close();
  }
}

interface Plan {
  readonly server: ServerKind;
  readonly clients: readonly ClientKind[];
  readonly redisUrl: string;
  readonly scenarios: Limit;
  readonly busy: Limit;
  readonly onResult: OnResult;
}

async function playKind(plan: Plan): Promise<KindReport> {
  const { server } = plan;
  const results: Result[] = [];
  const problems: string[] = [];
  let unknown: readonly UnknownAnswer[] = [];
  try {
    const stage = await setStage(server, plan.redisUrl);
    try {
      results.push(...(await playOn(stage, plan)));
      problems.push(...idlers(stage));
    } finally {
      await stage.close();
    }
    unknown = await askForUnknown(server);
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
  return { server, results, unknown, problems };
}

async function playOn(stage: Stage, plan: Plan): Promise<Result[]> {
  const { server, clients, scenarios, busy, onResult } = plan;
  const reception = new Reception(stage.nodes, busy);
  const playOne = async (
    client: ClientKind,
    transports: Transports,
    way: Topology,
  ): Promise<Outcome> => {
    const { dialect, spoils = {} } = server;
    const cast = { client, dialect, transports, spoils, url: stage.urls[way], reception, busy };
    return scenarios.run(() => play(cast));
  };
  const playWays = async (client: ClientKind, transports: Transports): Promise<Result> => {
    const [direct, one, two] = await Promise.all([
      playOne(client, transports, 'direct'),
      playOne(client, transports, 'one'),
      playOne(client, transports, 'two'),
    ]);
    const result = { server, client, transports, outcomes: judge({ direct, one, two }) };
    onResult(result);
    return result;
  };
  return Promise.all(
    clients.flatMap((client) =>
      TRANSPORTS.filter((transports) => canUse(client, transports)).map((transports) =>
        playWays(client, transports),
      ),
    ),
  );
}

/** The control uses the first node only, so whoever came to the second came through the router. */
function idlers({ nodes, counts }: Stage): string[] {
  const idle = nodes
    .filter(({ process }) => !process.output().includes('"connect"'))
    .map(({ name }) => `${name} had no client`);
  if (Math.min(...counts) === 0) idle.push('one of the replicas had no request');
  return idle;
}
