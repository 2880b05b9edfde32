/**
 * A certificate for servers on this machine, made when it is asked for: nothing secret is committed, and nothing expires in a drawer.
 * It is signed with its own key, so a client trusts it by being given it (`ca`, `curl --cacert`).
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';

export interface Certificate {
  /** PEM, for `ca` of a client as well. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
}

/** Browsers refuse what is valid for longer than 398 days; a demo lasts minutes. */
const VALID_MS = 7 * 24 * 3_600_000;

/** Makes a key on the curve P-256 and a certificate for `localhost`, 127.0.0.1 and ::1, in about 10 ms. */
export async function makeCertificate(): Promise<Certificate> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + VALID_MS),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      // Names stand here; the common name is no longer read for them [RFC 9525 §2].
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
          { type: 7, ip: '::1' },
        ],
      },
    ],
  });
  return { cert, key };
}

export interface CertificateFile extends AsyncDisposable {
  readonly path: string;
}

/** Puts a certificate where a client can be told to find it: `curl --cacert <path>`. Disposed, it is gone. */
export async function publishCertificate({ cert }: Certificate): Promise<CertificateFile> {
  const folder = await mkdtemp(join(tmpdir(), 'certificate-'));
  const path = join(folder, 'ca.pem');
  await writeFile(path, cert);
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}
