// Stands in for livekit-server 1.13, which cannot be installed from a registry: what the gate's tests must know of it, and no more.
//
//   node livekit.mjs KEY,KEY NAME=ADDRESS:PORT...
//
// It speaks enough signalling (`/rtc/v1`, `/rtc`) and has a real peer connection behind it, so that the SDKs take themselves for connected.
// Everything else answers whose token it took. It reads a token as livekit-server does, in its order and as leniently, since a gate
// is of use only if both read the same one: the Authorization row if it is not empty, else the form value of Go's net/http.
// The secret of a key K is `secret-of-K-which-is-long-enough`. Each request becomes a line of JSON on standard output.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';

// Packages are looked up where tests/run has put them: NODE_PATH is for CommonJS alone.
const require = createRequire(`${process.env.NODE_PATH}/`);
const {
  DisconnectReason, JoinRequest, JoinResponse, LeaveRequest, LeaveRequest_Action, ParticipantInfo, Pong, Room, ServerInfo, SessionDescription,
  SignalRequest, SignalResponse, WrappedJoinRequest,
} = require('@livekit/protocol');
const { WebSocketServer } = require('ws');
const { RTCPeerConnection } = require('werift');

const [keys, ...regions] = process.argv.slice(2);
const secret = (key) => (keys.split(',').includes(key) ? `secret-of-${key}-which-is-long-enough` : undefined);

// Go's url.ParseQuery: a pair with a semicolon or a bad escape is left out, and the others stay.
function pairs(text) {
  const unescaped = (part) => {
    if (/%(?![0-9a-fA-F]{2})/.test(part)) throw new Error('escape');
    return part.replaceAll('+', ' ').replace(/%([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  };
  const found = [];
  for (const pair of text.split('&')) {
    if (pair === '' || pair.includes(';')) continue;
    const [name, ...value] = pair.split('=');
    try {
      found.push([unescaped(name), unescaped(value.join('='))]);
    } catch {
      // Dropped.
    }
  }
  return found;
}

// Go's FormValue: the body's pairs, if it is a form of a method with a body, before the query's; those of a multipart body behind.
function formValue(request, body) {
  const type = (request.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
  const query = request.url.split('?').slice(1).join('?');
  const has = ['POST', 'PUT', 'PATCH'].includes(request.method);
  const before = has && type === 'application/x-www-form-urlencoded' ? pairs(body) : [];
  const behind = has && type === 'multipart/form-data' ? multipart(body) : [];
  return [...before.map((pair) => ['form', ...pair]), ...pairs(query).map((pair) => ['query', ...pair]), ...behind].find(
    ([, name]) => name === 'access_token',
  );
}

function multipart(body) {
  const part = /name="([^"]*)"\r\n\r\n([^\r]*)\r\n/g;
  return [...body.matchAll(part)].map(([, name, value]) => ['multipart', name, value]);
}

// Go's encoding/json: names in any case, the last one counts.
function issuer(payload) {
  const text = Buffer.from(payload, 'base64url').toString();
  const members = [];
  JSON.parse(text);
  // A flat object is enough here: JSON.parse would have one of two equal names only.
  for (const [, name, value] of text.matchAll(/"((?:[^"\\]|\\.)*)"\s*:\s*("(?:[^"\\]|\\.)*")/g)) {
    members.push([JSON.parse(`"${name}"`), JSON.parse(value)]);
  }
  const folded = (name) => name.replaceAll('\u017f', 's').toLowerCase();
  return members.filter(([name]) => folded(name) === 'iss').at(-1)?.[1];
}

// What livekit-server makes of a request: the source of the token and its issuer, and whether it is let in.
function judge(request, body) {
  const header = request.headers.authorization ?? '';
  let source, token;
  if (header !== '') {
    source = 'header';
    if (!header.startsWith('Bearer ')) return { status: 401, source };
    token = header.slice('Bearer '.length);
  } else {
    const found = formValue(request, body);
    if (!found || found[2] === '') return { status: 401, source: 'none' };
    [source, , token] = found;
  }
  let iss;
  try {
    const [head, payload, signature, ...rest] = token.split('.');
    iss = issuer(payload);
    const key = secret(iss);
    const algorithm = JSON.parse(Buffer.from(head, 'base64url').toString()).alg;
    if (rest.length > 0 || key === undefined || algorithm !== 'HS256') return { status: 401, source, iss };
    const expected = createHmac('sha256', key).update(`${head}.${payload}`).digest();
    const given = Buffer.from(signature, 'base64url');
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return { status: 401, source, iss };
  } catch {
    return { status: 401, source, iss };
  }
  return { status: 200, source, iss };
}

function say(region, request, verdict) {
  const [path] = request.url.split('?');
  console.log(JSON.stringify({ region, method: request.method, path, upgrade: request.headers.upgrade, ...verdict }));
}

function answer(region, request, response, body) {
  const [path] = request.url.split('?');
  const unjudged = request.headers.authorization ? 'header' : 'nothing';
  if (path === '/' && request.method === 'GET') {
    say(region, request, { status: 200 });
    response.writeHead(200, { 'x-took': unjudged });
    return response.end('OK');
  }
  // Its CORS layer answers a preflight before anything else looks at it.
  if (request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined) {
    say(region, request, { status: 204 });
    response.writeHead(204, { 'access-control-allow-origin': '*', 'access-control-allow-headers': '*', 'x-took': unjudged });
    return response.end();
  }
  const verdict = judge(request, body);
  say(region, request, verdict);
  const type = path.startsWith('/twirp/') ? request.headers['content-type'] : 'text/plain';
  response.writeHead(verdict.status, {
    'access-control-allow-origin': '*',
    'content-type': type ?? 'text/plain',
    'x-took': `${verdict.source} ${verdict.iss}`,
    'x-region': region,
    'x-octets': body.length,
  });
  const ok = { 'application/json': '{}', 'application/protobuf': '' }[type?.split(';')[0]] ?? 'success';
  response.end(verdict.status === 200 ? ok : 'invalid token');
}

// The library of peer connections wants to hear its own address from somebody, and waits five seconds for it.
const stun = createSocket('udp4');
stun.on('message', (ask, { address, port }) => {
  const told = Buffer.alloc(32);
  told.writeUInt16BE(0x0101, 0);
  told.writeUInt16BE(12, 2);
  ask.copy(told, 4, 4, 20);
  told.writeUInt16BE(0x0020, 20);
  told.writeUInt16BE(8, 22);
  told.writeUInt16BE(1, 24);
  told.writeUInt16BE(port ^ 0x2112, 26);
  address.split('.').forEach((octet, at) => told.writeUInt8(Number(octet) ^ [0x21, 0x12, 0xa4, 0x42][at], 28 + at));
  stun.send(told, port, address);
});
stun.bind(0, '127.0.0.1');
await once(stun, 'listening');

// A session: says who is in the room, and answers the client's offer.
function session(region, request, socket) {
  const url = new URL(request.url, 'ws://region');
  const send = (kind, value) => socket.send(new SignalResponse({ message: { case: kind, value } }).toBinary());
  const connection = new RTCPeerConnection({ iceServers: [{ urls: `stun:127.0.0.1:${stun.address().port}` }] });
  socket.on('close', () => connection.close());
  const take = async (offer) => {
    await connection.setRemoteDescription({ type: 'offer', sdp: offer.sdp });
    await connection.setLocalDescription(await connection.createAnswer());
    send('answer', new SessionDescription({ type: 'answer', sdp: connection.localDescription.sdp, id: offer.id }));
  };
  // One after the other: a candidate is of no use before its offer.
  let taken = Promise.resolve();
  const then = (next) => (taken = taken.then(next).catch((error) => console.log(JSON.stringify({ region, error: String(error) }))));
  socket.on('message', (data) => {
    const { message } = SignalRequest.fromBinary(data);
    if (message.case === 'offer') then(() => take(message.value));
    if (message.case === 'trickle') then(() => connection.addIceCandidate(JSON.parse(message.value.candidateInit)));
    if (message.case === 'ping') send('pong', BigInt(Date.now()));
    if (message.case === 'pingReq') send('pongResp', new Pong({ lastPingTimestamp: message.value.timestamp, timestamp: BigInt(Date.now()) }));
    if (message.case === 'leave') socket.close();
  });
  const joined = joinRequest(url);
  // It keeps nobody whose signalling was cut: whoever comes back begins anew.
  if (joined.reconnect) {
    return send('leave', new LeaveRequest({ action: LeaveRequest_Action.RECONNECT, reason: DisconnectReason.STATE_MISMATCH }));
  }
  send('join', new JoinResponse({
    room: new Room({ sid: 'RM_1', name: 'room' }),
    participant: new ParticipantInfo({ sid: 'PA_1', identity: 'somebody', state: 1 }),
    serverVersion: '1.13.3',
    serverInfo: new ServerInfo({ version: '1.13.3', protocol: 16, region }),
    serverRegion: region,
    subscriberPrimary: false,
    pingInterval: 10,
    pingTimeout: 30,
  }));
  // livekit-client makes up its mind within 20 ms whether it offers once more, and confuses itself if the answer comes in the middle of
  // it. Over a network none does.
  const { publisherOffer } = joined;
  if (publisherOffer?.sdp) then(() => sleep(150).then(() => take(publisherOffer)));
}

// What a client says of itself in the URL: in one parameter of `/rtc/v1`, in several of `/rtc`.
function joinRequest(url) {
  const joined = url.searchParams.get('join_request');
  if (!joined) return { reconnect: url.searchParams.get('reconnect') === '1' };
  const wrapped = WrappedJoinRequest.fromBinary(Buffer.from(joined, 'base64url'));
  return JoinRequest.fromBinary(wrapped.compression === 1 ? gunzipSync(wrapped.joinRequest) : wrapped.joinRequest);
}

for (const region of regions) {
  const [name, address] = region.split('=');
  const [host, port] = address.split(':');
  const server = createServer({ maxHeaderSize: 1 << 20 }, (request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => answer(name, request, response, Buffer.concat(parts).toString('latin1')));
  });
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    const verdict = judge(request, '');
    const [path] = request.url.split('?');
    const found = ['/rtc', '/rtc/v1', '/agent'].includes(path);
    const status = verdict.status !== 200 ? 401 : found ? 101 : 404;
    say(name, request, { ...verdict, status });
    // Any method begins a session there, and only a GET ends up with a WebSocket.
    if (status !== 101 || request.method !== 'GET') {
      const text = status === 101 ? 400 : status;
      return socket.end(`HTTP/1.1 ${text} No\r\nx-took: ${verdict.source} ${verdict.iss}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    }
    sockets.handleUpgrade(request, socket, head, (opened) => session(name, request, opened));
  });
  server.listen(Number(port), host, () => console.log(JSON.stringify({ region: name, listens: address })));
}
