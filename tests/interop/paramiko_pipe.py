"""Carries octets between its own ends and the subsystem rpki-rtr, with paramiko.

The window is the smallest there is, so that an answer has to wait for it.

paramiko_pipe.py PORT USER KNOWN_HOSTS key|password FILE
"""

import os
import sys
import threading

import paramiko

port, user, known_hosts, kind, file = sys.argv[1:]
client = paramiko.SSHClient()
client.load_host_keys(known_hosts)
client.set_missing_host_key_policy(paramiko.RejectPolicy())
shown = {"key_filename": file} if kind == "key" else {"password": open(file).readline().strip()}
client.connect(
    "127.0.0.1", int(port), user, allow_agent=False, look_for_keys=False, timeout=10, **shown
)
channel = client.get_transport().open_session(
    window_size=32768, max_packet_size=4096, timeout=10
)
channel.invoke_subsystem("rpki-rtr")


def send():
    while octets := os.read(0, 4096):
        channel.sendall(octets)
    channel.shutdown_write()


threading.Thread(target=send, daemon=True).start()
while octets := channel.recv(65536):
    while octets:
        octets = octets[os.write(1, octets):]
