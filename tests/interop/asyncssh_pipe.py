"""Carries octets between its own ends and the subsystem rpki-rtr, with asyncssh.

The window and the packets are small, and keys are renewed often: an answer sees all of it.

asyncssh_pipe.py PORT USER KNOWN_HOSTS key|password FILE
"""

import asyncio
import os
import sys

import asyncssh


async def main(port, user, known_hosts, kind, file):
    if kind == "key":
        shown = {"client_keys": [file]}
    else:
        shown = {"client_keys": None, "password": open(file).readline().strip()}
    async with asyncssh.connect(
        "127.0.0.1",
        int(port),
        username=user,
        known_hosts=known_hosts,
        agent_path=None,
        config=None,
        connect_timeout=10,
        rekey_bytes=16384,
        **shown,
    ) as connection:
        writer, reader, _ = await connection.open_session(
            subsystem="rpki-rtr", encoding=None, window=2048, max_pktsize=256
        )

        async def send():
            loop = asyncio.get_running_loop()
            while octets := await loop.run_in_executor(None, os.read, 0, 4096):
                writer.write(octets)
                await writer.drain()
            writer.write_eof()

        sender = asyncio.create_task(send())
        while octets := await reader.read(65536):
            while octets:
                octets = octets[os.write(1, octets):]
        sender.cancel()


asyncio.run(main(*sys.argv[1:]))
