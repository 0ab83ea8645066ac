"""Every pod of an API server: listed, then watched, and listed anew whenever the watch ends."""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp

RETRY_SECONDS = 0.5
Pod = Mapping[str, Any]


class PodObserver(Protocol):
    def see(self, pod: Pod) -> None: ...

    def see_gone(self, pod: Pod) -> None: ...

    def see_no_other(self, pods: list[Pod]) -> None:
        """What is not among these is gone, though nobody said so."""


async def watch_pods(client: aiohttp.ClientSession, *, observer: PodObserver) -> None:
    """Without end."""
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
            await _list_and_watch(client, observer=observer)
        await asyncio.sleep(RETRY_SECONDS)  # the API server is away, or its watch has ended


async def _list_and_watch(client: aiohttp.ClientSession, *, observer: PodObserver) -> None:
    async with client.get("/api/v1/pods") as response:
        listed = await response.json()
    for pod in listed["items"]:
        observer.see(pod)
    observer.see_no_other(listed["items"])
    query = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"], "timeoutSeconds": "600"}
    timeout = aiohttp.ClientTimeout(total=None)
    async with client.get("/api/v1/pods", params=query, timeout=timeout) as response:
        rest = b""
        async for chunk in response.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] == "DELETED":
                    observer.see_gone(event["object"])
                else:
                    observer.see(event["object"])
