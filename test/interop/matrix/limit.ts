/** Lets so many jobs run at a time; the others wait in the order of their coming. */
export class Limit {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(jobs: number) {
    this.#free = jobs;
  }

  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#free--;
    try {
      return await job();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
