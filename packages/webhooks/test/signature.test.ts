import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { newSecret, readSecret, sign, signBody, verify, verifyBody } from '../signature.ts';

const ID = 'evt_2KWPBgLlAfxdpx2AI54pPJ85f4W';
const NOW = 1_795_212_000;
const BODY = Buffer.from('{"id":"evt_2","data":{"amount":4200,"note":"Zoë, 42 €"}}');
const SECRET = newSecret();
const secret = readSecret(SECRET);

const headersOf = (signature: string, id = ID, timestamp: number | string = NOW) => ({
  'webhook-id': id,
  'webhook-timestamp': String(timestamp),
  'webhook-signature': signature,
});
const signed = headersOf(sign([secret], ID, NOW, BODY));
const at = (nowSeconds: number) => ({ nowSeconds });

describe('beside the standardwebhooks package', () => {
  const theirs = new Webhook(SECRET);
  const now = Math.floor(Date.now() / 1_000);

  test('the signatures are the same bytes', () => {
    expect(sign([secret], ID, NOW, BODY)).toBe(theirs.sign(ID, new Date(NOW * 1_000), BODY.toString()));
  });

  test('it verifies what we sign', () => {
    const headers = headersOf(sign([secret], ID, now, BODY), ID, now);
    expect(theirs.verify(BODY.toString(), headers)).toEqual(JSON.parse(BODY.toString()));
    expect(() => theirs.verify(`${BODY.toString()} `, headers)).toThrow('No matching signature');
  });

  test('we verify what it signs', () => {
    const headers = headersOf(theirs.sign(ID, new Date(now * 1_000), BODY.toString()), ID, now);
    expect(verify([secret], headers, BODY)).toBe('verified');
  });

  test('it verifies a rotation with either secret alone', () => {
    const next = newSecret();
    const headers = headersOf(sign([readSecret(next), secret], ID, now, BODY), ID, now);
    for (const one of [SECRET, next]) expect(() => new Webhook(one).verify(BODY.toString(), headers)).not.toThrow();
  });
});

describe('verification', () => {
  test('says yes to what was signed', () => {
    expect(verify([secret], signed, BODY, at(NOW))).toBe('verified');
  });

  test.each([
    ['another body', signed, Buffer.from(BODY.toString().replace('4200', '4201'))],
    ['the same JSON written anew', signed, Buffer.from(JSON.stringify(JSON.parse(BODY.toString()), undefined, 1))],
    ['another id', { ...signed, 'webhook-id': 'evt_3' }, BODY],
    ['another timestamp', { ...signed, 'webhook-timestamp': String(NOW + 1) }, BODY],
    ['a signature by somebody else', headersOf(sign([readSecret(newSecret())], ID, NOW, BODY)), BODY],
    ['a signature cut short', headersOf(signed['webhook-signature'].slice(0, -1)), BODY],
    ['a signature made longer', headersOf(`${signed['webhook-signature']}=`), BODY],
    ['an empty signature', headersOf('v1,'), BODY],
    ['a signature without its version', headersOf(signed['webhook-signature'].slice(3)), BODY],
    ['a signature of another version', headersOf(signed['webhook-signature'].replace('v1,', 'v2,')), BODY],
    ['letters that are not of Base64', headersOf(`v1,${'é'.repeat(44)}`), BODY],
  ])('says no to %s', (_what, headers, body) => {
    expect(verify([secret], headers, body, at(NOW))).toBe('no-match');
  });

  test('looks at every byte, those too that are not UTF-8', () => {
    const [one, other] = [Buffer.from([0x7b, 0xff, 0x7d]), Buffer.from([0x7b, 0xfe, 0x7d])];
    const headers = headersOf(sign([secret], ID, NOW, one));
    expect(verify([secret], headers, one, at(NOW))).toBe('verified');
    expect(verify([secret], headers, other, at(NOW))).toBe('no-match');
  });

  test('tries every signature, and passes over versions that it does not know', () => {
    const others = `v2,AAAA v1a,BBBB nonsense ${sign([readSecret(newSecret())], ID, NOW, BODY)}`;
    expect(verify([secret], headersOf(`${others} ${signed['webhook-signature']}`), BODY, at(NOW))).toBe('verified');
  });

  test('tries every secret', () => {
    const secrets = [readSecret(newSecret()), secret];
    expect(verify(secrets, signed, BODY, at(NOW))).toBe('verified');
    expect(verify([], signed, BODY, at(NOW))).toBe('no-match');
  });

  test.each([
    [300, 'verified'],
    [301, 'timestamp-too-old'],
    [-300, 'verified'],
    [-301, 'timestamp-too-new'],
  ])('%d seconds after it was signed: %s', (seconds, verdict) => {
    expect(verify([secret], signed, BODY, at(NOW + seconds))).toBe(verdict);
  });

  test('takes the tolerance that it is given', () => {
    expect(verify([secret], signed, BODY, { nowSeconds: NOW + 11, toleranceSeconds: 10 })).toBe('timestamp-too-old');
  });

  test.each(['', ' 1795212000', '1795212000.0', '0x6b009', '1e9', 'now', '-5', '9'.repeat(13)])(
    'refuses the timestamp "%s"',
    (timestamp) => {
      expect(verify([secret], headersOf('v1,x', ID, timestamp), BODY, at(NOW))).toBe('timestamp-malformed');
    },
  );

  test.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('refuses a request without %s', (name) => {
    expect(verify([secret], { ...signed, [name]: undefined }, BODY, at(NOW))).toBe('header-missing');
  });

  test('refuses an id with a dot, with which a part of the body could pass for the timestamp', () => {
    const body = Buffer.from(`${NOW}.{}`);
    const signature = sign([secret], 'evt', NOW, body); // over evt.NOW.NOW.{}
    expect(verify([secret], headersOf(signature, `evt.${NOW}`), Buffer.from('{}'), at(NOW))).toBe('id-malformed');
    expect(() => sign([secret], 'evt.1', NOW, body)).toThrow(RangeError);
  });
});

describe('a secret', () => {
  test('is new each time, and long enough', () => {
    expect(newSecret()).not.toBe(SECRET);
    expect(Buffer.from(SECRET.slice(6), 'base64')).toHaveLength(32);
  });

  test.each([
    ['no prefix', SECRET.slice(6)],
    ['another prefix', SECRET.replace('whsec_', 'whpk_')],
    ['23 bytes', `whsec_${Buffer.alloc(23, 1).toString('base64')}`],
    ['65 bytes', `whsec_${Buffer.alloc(65, 1).toString('base64')}`],
    ['a letter that is not of Base64', `${SECRET.slice(0, -3)}*9=`],
  ])('is refused with %s, and not told', (_what, text) => {
    let message = '';
    try {
      readSecret(text);
    } catch (error) {
      message = (error as RangeError).message;
    }
    expect(message).toMatch(/^a secret is/);
    expect(message).not.toContain(text.slice(6, 20));
  });
});

describe('X-Signature', () => {
  test('is the HMAC of the body alone, as hexadecimal', () => {
    expect(signBody(secret, BODY)).toMatch(/^[0-9a-f]{64}$/);
    expect(verifyBody([readSecret(newSecret()), secret], signBody(secret, BODY), BODY)).toBe(true);
  });

  test('does not fit another body, and is no list, no upper case, no nothing', () => {
    const signature = signBody(secret, BODY);
    expect(verifyBody([secret], signature, Buffer.from('{}'))).toBe(false);
    for (const other of [undefined, '', [signature], signature.slice(1), signature.toUpperCase()]) {
      expect(verifyBody([secret], other, BODY)).toBe(false);
    }
  });
});
