// LiveKit's SDKs for Node, as an application uses them: a step after the other, and what came of each.
//
//   node clients.mjs APPLICATION STEPS
//
// APPLICATION is the code of docs/realtime.md. STEPS is an array of { does, url, token, key, secret } as JSON. The last line of the output
// is an array of `connected`, `answered` or what the SDK says of the refusal.

import { webcrypto } from 'node:crypto';
import { createRequire } from 'node:module';

// Debian's Node has it under this name alone; livekit-server-sdk looks for it there.
globalThis.crypto ??= webcrypto;

const require = createRequire(`${process.env.NODE_PATH}/`);
const { Room, dispose } = require('@livekit/rtc-node');
const { RoomServiceClient } = require('livekit-server-sdk');

const [application, steps] = process.argv.slice(2);
const connectInRegion = new Function(`${application}\nreturn connectInRegion;`)();

const does = {
  async connect({ url, token }) {
    const room = new Room();
    await room.connect(url, token, { autoSubscribe: true, dynacast: false });
    await room.disconnect();
    return 'connected';
  },
  async application({ url, token }) {
    const room = new Room();
    await connectInRegion(room, url, token);
    await room.disconnect();
    return 'connected';
  },
  async twirp({ url, key, secret }) {
    await new RoomServiceClient(url, key, secret).listRooms();
    return 'answered';
  },
};

const results = [];
for (const step of JSON.parse(steps)) {
  try {
    results.push(await does[step.does](step));
  } catch (error) {
    results.push(`${error.name} ${error.status ?? ''} ${error.code ?? ''} ${error.message}`);
  }
}
console.log(JSON.stringify(results));
await dispose();
process.exit();
