import { HttpProblem } from '@patterns/kit/problem';
import { requirePostgres } from '@patterns/services/testing';
import type { RequestHandler } from 'express';
import { describe, expect, test } from 'vitest';
import { openIssuer } from './issuer-stage.ts';

const ANN = { name: 'ann', password: 'a wet day in may' };

requirePostgres()('an issuer that is composed', () => {
  describe('concurrently', { concurrent: true }, () => {
    test('signs up whoever asks, twice if the first answer got lost, and nobody under a name that is taken', async () => {
      await using issuer = await openIssuer({ signUp: true, maxFailedLogins: 4 });
      const signUp = (body: object) => post(`${issuer.url}/signup`, body);
      expect(await Promise.all([signUp(ANN), signUp(ANN)])).toMatchObject([{ status: 201 }, { status: 201 }]);
      expect(await issuer.login(ANN)).toMatchObject({ status: 200 });
      expect(await signUp({ ...ANN, password: 'another one' })).toMatchObject({ status: 409 });
      expect(await issuer.login({ ...ANN, password: 'another one' })).toMatchObject({ status: 400 }); // nothing has changed
      expect(await signUp({ name: 'ann\n', password: 'short' })).toMatchObject({
        status: 400,
        body: { errors: [{ field: '/name' }, { field: '/password' }] },
      });
      // It says which password is right: so whoever guesses here has no more attempts than at /login, and not beside them.
      await signUp({ ...ANN, password: 'a third one' });
      expect(await signUp(ANN)).toMatchObject({ status: 429 });
      expect(await issuer.login(ANN)).toMatchObject({ status: 429 });
    });

    test('has no such door unless it is told to', async () => {
      await using issuer = await openIssuer();
      expect(await post(`${issuer.url}/signup`, ANN)).toMatchObject({ status: 404 });
    });

    test('is asked through its door only, and believes whom that lets pass who the client is', async () => {
      const door: RequestHandler = ({ headers }, _response, next) =>
        next(headers.from === 'gateway' ? undefined : new HttpProblem(401));
      await using issuer = await openIssuer({ door, scopes: ['orders'], maxFailedLogins: 1 });
      const login = (body: object, headers: Record<string, string>) => post(`${issuer.url}/login`, body, headers);
      expect(await login({}, {})).toMatchObject({ status: 401 });
      expect((await issuer.get('/.well-known/jwks.json')).status).toBe(200);
      const john = { name: 'john', password: 'correct horse battery staple' };
      const by = (address: string) => ({ From: 'gateway', 'X-Forwarded-For': `203.0.113.9, ${address}` });
      expect(await login({ ...john, password: 'wrong' }, by('192.0.2.1'))).toMatchObject({ status: 400 });
      expect(await login(john, by('192.0.2.1'))).toMatchObject({ status: 429 });
      expect(await login(john, by('192.0.2.2'))).toMatchObject({ status: 200, body: { scope: 'orders' } });
    });
  });
});

async function post(url: string, body: object, headers: Record<string, string> = {}) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}
