"""Calls that are awaited under uvloop; the wait for one times out, and it fails later."""

import asyncio
import json
import sys

import uvloop

import tator

api = tator.get_api()
logged = []


async def main(run_uids):
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(str(context)))
    first, second, unknown, slow = run_uids
    handles = [api.delete_job(run_uid, async_req=True) for run_uid in (first, second)]
    messages = [data.message for data in await asyncio.gather(*handles)]
    try:
        await api.delete_job(unknown, async_req=True)
    except tator.ServiceException as error:
        messages.append(error.status)
    handle = api.delete_job(slow, async_req=True, _request_timeout=1)
    try:
        await asyncio.wait_for(handle, 0.1)
    except asyncio.TimeoutError:
        messages.append("timed out")
    while not handle.done():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.01)
    successful = handle.successful()
    del handle
    return [type(asyncio.get_running_loop()).__module__, *messages, successful]


seen = uvloop.run(main(sys.argv[1:]))
print(json.dumps([*seen, logged]))
