import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, get } from 'node:https';
import { makeCertificate, publishCertificate } from '@patterns/kit/certificate';
import { listen } from '@patterns/kit/listen';
import { expect, test } from 'vitest';

const status = (url: string, ca?: string) =>
  new Promise<number | undefined>((resolve, reject) => {
    get(url, { agent: false, ...(ca ? { ca } : {}) }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    }).on('error', reject);
  });

test('who is given the certificate trusts the server, by either of its names; who is not does not', async () => {
  const certificate = await makeCertificate();
  await using server = await listen(createServer(certificate, (_request, response) => response.end()));
  expect(await status(server.url, certificate.cert)).toBe(200);
  expect(await status(server.url.replace('127.0.0.1', 'localhost'), certificate.cert)).toBe(200);
  await expect(status(server.url)).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
});

test('each certificate has a key of its own, and is valid now and for a week', async () => {
  const [one, other] = await Promise.all([makeCertificate(), makeCertificate()]);
  expect(one.key).not.toBe(other.key);
  const { validFromDate, validToDate } = new X509Certificate(one.cert);
  expect(validFromDate.getTime()).toBeLessThanOrEqual(Date.now());
  expect(validToDate.getTime() - Date.now()).toBeGreaterThan(6 * 24 * 3_600_000);
});

test('it is in a file for as long as its server runs', async () => {
  const certificate = await makeCertificate();
  const file = await publishCertificate(certificate);
  expect(await readFile(file.path, 'utf8')).toBe(certificate.cert);
  await file[Symbol.asyncDispose]();
  expect(existsSync(file.path)).toBe(false);
});
