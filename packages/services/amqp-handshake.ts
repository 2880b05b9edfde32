/**
 * Asks an AMQP 0-9-1 server who it is and whether it takes our password: the first half of its handshake, without a library.
 * [AMQP 0-9-1 §2.2.4]
 */
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';

// A server on this machine answers in milliseconds, one across an ocean in half a second, RabbitMQ to a wrong password after one.
const answerMs = 3_000;

/** The version of the RabbitMQ at `url`. Rejects when there is none, or none that lets us in. */
export async function askRabbitmq(url: URL): Promise<string> {
  const secure = url.protocol === 'amqps:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port) || (secure ? 5671 : 5672);
  const signal = AbortSignal.timeout(answerMs);
  const socket = secure ? connectTls({ host, port, servername: host }) : connectTcp({ host, port });
  using _ = { [Symbol.dispose]: () => socket.destroy() };
  signal.addEventListener('abort', () => socket.destroy(signal.reason as Error));
  socket.write('AMQP\0\0\x09\x01', 'latin1');
  let version = '';
  let answer = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    answer = Buffer.concat([answer, chunk]);
    // A frame: type, channel, size, payload, end mark.
    while (answer.length >= 7 && answer.length >= 8 + answer.readUInt32BE(3)) {
      if (answer[0] !== 1) throw new Error('what listens there is no RabbitMQ');
      const size = answer.readUInt32BE(3);
      const method = answer.readUInt32BE(7);
      const fields = answer.subarray(11, 7 + size);
      answer = answer.subarray(8 + size);
      if (method === connectionStart) {
        version = serverVersion(fields);
        socket.write(startOk(decodeURIComponent(url.username) || 'guest', decodeURIComponent(url.password) || 'guest'));
      } else if (method === connectionTune && version !== '') return version;
      else throw new Error('it refuses the user or the password');
    }
    if (answer.length > 0 && answer[0] !== 1) throw new Error('what listens there is no RabbitMQ');
  }
  throw new Error(version === '' ? 'the connection was closed' : 'it refuses the user or the password');
}

const connectionStart = (10 << 16) | 10;
const connectionTune = (10 << 16) | 30;

/** Out of a table of properties: a name with its length before it, then `S` and a string with its length before it. */
function serverVersion(fields: Buffer): string {
  const name = '\x07versionS';
  const at = fields.indexOf(name, 0, 'latin1');
  if (at < 0 || !fields.includes('RabbitMQ')) throw new Error('what listens there is no RabbitMQ');
  const from = at + name.length + 4;
  return fields.toString('utf8', from, from + fields.readUInt32BE(from - 4));
}

/** Connection.StartOk: who we are, the mechanism PLAIN [RFC 4616], and a language. */
function startOk(user: string, password: string): Buffer {
  // Without this capability it only hangs up on a wrong password, and takes its time.
  const capability = Buffer.concat([short('authentication_failure_close'), Buffer.from('t\x01')]);
  const properties = Buffer.concat([short('capabilities'), Buffer.from('F'), long(capability)]);
  const method = Buffer.from('\0\x0a\0\x0b');
  const response = Buffer.from(`\0${user}\0${password}`);
  const payload = Buffer.concat([method, long(properties), short('PLAIN'), long(response), short('en_US')]);
  return Buffer.concat([Buffer.from('\x01\0\0'), long(payload), Buffer.from([0xce])]);
}

function short(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
}

function long(content: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, content]);
}
