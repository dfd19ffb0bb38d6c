/** Things to close when a test is over, the last one first. */
export class Closers {
  readonly #closers: (() => unknown)[] = [];

  /** Remembers something that has to be closed and returns it. */
  add<T extends { close(): unknown }>(closable: T): T {
    this.#closers.push(() => closable.close());
    return closable;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}
