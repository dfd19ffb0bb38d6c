import type { Page } from 'playwright-core';

/** Collects what the page complains of from now on: errors on its console and uncaught exceptions. */
export function collectErrors(page: Page): string[] {
  const errors: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(`${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (error) => {
    errors.push(String(error));
  });
  return errors;
}
