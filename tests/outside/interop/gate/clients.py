"""LiveKit's SDKs for Python, as an application uses them: a step after the other, and what came of each.

    python3 clients.py APPLICATION STEPS

The same arguments and the same output as clients.mjs.
"""

import asyncio
import json
import sys
from unittest.mock import MagicMock

# Sound alone needs it, and it is larger than all the rest.
sys.modules["numpy"] = MagicMock()

from livekit import api, rtc  # noqa: E402

application = {}
exec(sys.argv[1], application)


async def connect(step):
    room = rtc.Room()
    await room.connect(step["url"], step["token"])
    await room.disconnect()
    return "connected"


async def in_region(step):
    room = rtc.Room()
    await application["connect_in_region"](room, step["url"], step["token"])
    await room.disconnect()
    return "connected"


async def twirp(step):
    async with api.LiveKitAPI(step["url"], step["key"], step["secret"]) as client:
        await client.room.list_rooms(api.ListRoomsRequest())
    return "answered"


async def main():
    does = {"connect": connect, "application": in_region, "twirp": twirp}
    results = []
    for step in json.loads(sys.argv[2]):
        try:
            results.append(await does[step["does"]](step))
        except rtc.ConnectError as error:
            results.append(f"ConnectError {error.message}")
        except api.TwirpError as error:
            results.append(f"TwirpError {error.status} {error.code} {error.message}")
    print(json.dumps(results), flush=True)


asyncio.run(main())
