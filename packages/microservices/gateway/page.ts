/** The page, and what a browser is told about it: no script runs but its own, known by its digest, and it talks to nobody but us. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RequestHandler } from 'express';

const PAGE = readFileSync(new URL('../page.html', import.meta.url), 'utf8');
const SCRIPT = /<script type="module">(.*)<\/script>/s.exec(PAGE)![1]!;

const HEADERS = {
  'Content-Security-Policy': [
    "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    `frame-ancestors 'none'; script-src 'sha256-${createHash('sha256').update(SCRIPT).digest('base64')}'`,
  ].join('; '),
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-cache',
};

export const showPage: RequestHandler = (_request, response) => {
  response.set(HEADERS).type('html').send(PAGE);
};
