"""What stands in for a server of MySQL 8 at the door: it speaks the handshake with caching_sha2_password, all three ways of it,
and ends when the first statement comes. Nothing of a database is behind it.
"""
import hashlib
import os
import socket
import ssl
import struct
import subprocess
import threading

CLIENT_SSL, CLIENT_PLUGIN_AUTH, CLIENT_SECURE, CLIENT_PROTOCOL_41, WITH_DATABASE = 0x800, 0x80000, 0x8000, 0x200, 8
PLUGIN = b"caching_sha2_password"
GOODBYE = b"the double says goodbye"


def make_key(directory):
    """An RSA key of a server, as PEM."""
    path = directory / "rsa.pem"
    subprocess.run(["openssl", "genrsa", "-out", path, "2048"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def scramble(password, salt):
    first = hashlib.sha256(password).digest()
    second = hashlib.sha256(hashlib.sha256(first).digest() + salt).digest()
    return bytes(a ^ b for a, b in zip(first, second))


class Double:
    """`way`: "fast" (the server has the password in its cache) or "full". `cert`: (certificate, key): offers TLS."""

    def __init__(self, password, key, way="fast", cert=None):
        self.password = password.encode()
        self.key = key
        self.way = way
        self.cert = cert
        self.seen = []  # what each client went through, in order
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            client.settimeout(20)
            try:
                self._greet(client)
            except (OSError, struct.error, IndexError) as error:
                self.seen.append(f"cut off: {error}")

    # --- packets ---

    def _send(self, client, body):
        client.sendall(struct.pack("<I", len(body))[:3] + bytes([self._number & 255]) + body)
        self._number += 1

    def _receive(self, client):
        head = self._exactly(client, 4)
        self._number = head[3] + 1
        return self._exactly(client, int.from_bytes(head[:3], "little"))

    @staticmethod
    def _exactly(client, size):
        data = b""
        while len(data) < size:
            part = client.recv(size - len(data))
            if not part:
                raise OSError("the client went away")
            data += part
        return data

    def _error(self, client, code, state, text):
        self._send(client, b"\xff" + struct.pack("<H", code) + b"#" + state + text)
        client.close()

    # --- the conversation ---

    def _greet(self, client):
        self._number = 0
        salt = bytes(1 + byte % 126 for byte in os.urandom(20))
        can = CLIENT_PROTOCOL_41 | CLIENT_SECURE | CLIENT_PLUGIN_AUTH | WITH_DATABASE | 0xA28000 & ~CLIENT_SSL | 0x30000
        can |= CLIENT_SSL if self.cert else 0
        self._send(client, b"\x0a8.0.36-double\0" + struct.pack("<I", 7) + salt[:8] + b"\0" + struct.pack("<H", can & 0xFFFF)
                   + b"\xff" + struct.pack("<H", 2) + struct.pack("<H", can >> 16) + b"\x15" + b"\0" * 10 + salt[8:] + b"\0" + PLUGIN + b"\0")
        reply = self._receive(client)
        if len(reply) == 32:  # asks for TLS
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.cert)
            client = context.wrap_socket(client, server_side=True)
            self.seen.append("tls")
            reply = self._receive(client)
        after_user = reply.index(b"\0", 32) + 1
        size = reply[after_user]
        answer = reply[after_user + 1:after_user + 1 + size]
        if PLUGIN not in reply:  # the client began with another one: it is told which
            self._send(client, b"\xfe" + PLUGIN + b"\0" + salt + b"\0")
            answer = self._receive(client)
        if self.way == "fast":
            self.seen.append("fast")
            if answer != scramble(self.password, salt):
                return self._error(client, 1045, b"28000", b"Access denied for user")
            self._send(client, b"\x01\x03")
        elif not self._full(client, salt):
            return self._error(client, 1045, b"28000", b"Access denied for user")
        self._send(client, b"\0\0\0\x02\0\0\0")
        self._receive(client)  # the first statement
        self.seen.append("in")
        return self._error(client, 1105, b"HY000", GOODBYE)

    def _full(self, client, salt):
        self._send(client, b"\x01\x04")
        word = self._receive(client)
        if isinstance(client, ssl.SSLSocket):
            self.seen.append("in the clear, under TLS")
            return word == self.password + b"\0"
        if word == b"\x02":
            self.seen.append("asked for the key")
            public = subprocess.run(["openssl", "rsa", "-in", self.key, "-pubout"], check=True, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL).stdout
            self._send(client, b"\x01" + public)
            word = self._receive(client)
        self.seen.append("by the key")
        opened = subprocess.run(["openssl", "pkeyutl", "-decrypt", "-inkey", self.key, "-pkeyopt", "rsa_padding_mode:oaep"], input=word,
                                check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        return bytes(byte ^ salt[i % 20] for i, byte in enumerate(opened)) == self.password + b"\0"
