"""Calls a server by the official client. Reads tasks as JSON from stdin, and prints a list of answers for each task."""

import asyncio
import json
import sys

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation


async def answers(target, mode, steps):
    async with Client(target, mode=mode, client_info=Implementation(name="official", version="1")) as client:
        yield {"protocol": client.protocol_version, "server": client.server_info.name, "instructions": client.instructions}
        for method, *arguments in steps:
            try:
                answer = await getattr(client, method)(*arguments)
                yield answer.model_dump(mode="json", by_alias=True, exclude_none=True)
            except MCPError as error:
                yield {"error": error.error.model_dump(mode="json")}


async def done(task):
    headers = {"Authorization": f"Bearer {task['token']}"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False) as http:
        if "url" in task:
            target = streamable_http_client(task["url"], http_client=http)
        else:
            command, *args = task["command"]
            target = StdioServerParameters(command=command, args=args, env=task["env"])
        return [answer async for answer in answers(target, task["mode"], task["steps"])]


async def main(tasks):
    print(json.dumps([await done(task) for task in tasks]))


asyncio.run(main(json.load(sys.stdin)))
