// livekit-client on a page, as an application uses it: what came of a step. Runs behind the SDK's own file and the code of docs/realtime.md.
window.step = async (does, url, token) => {
  const room = new LivekitClient.Room();
  try {
    if (does === 'connect') await room.connect(url, token);
    if (does === 'application') await connectInRegion(room, url, token);
    const { region } = room.serverInfo;
    await room.disconnect();
    return `connected ${region}`;
  } catch (error) {
    return `${error.name} ${error.status} ${error.message}`;
  }
};
// One that stays: `back` and `ended` come true when it does.
window.stay = async (url, token) => {
  const room = new LivekitClient.Room();
  await room.connect(url, token);
  window.room = room;
  window.back = new Promise((resolve) => room.once('reconnected', () => resolve(room.serverInfo.region)));
  window.ended = new Promise((resolve) => room.once('disconnected', () => resolve(room.state)));
  return room.serverInfo.region;
};
window.twirp = async (url, token) => {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const answer = await fetch(`${url}/twirp/livekit.RoomService/ListRooms`, { method: 'POST', headers, body: '{}' });
  return `${answer.status} ${await answer.text()}`;
};
