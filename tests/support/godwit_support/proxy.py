"""A TCP relay on loopback that can be slow, silent or cut: a bad network between godwit and a server."""
import socket
import struct
import threading
import time


class Proxy:
    """Relays 127.0.0.1:port to 127.0.0.1:target. `delay_s` holds every piece back, in both directions."""

    def __init__(self, target, delay_s=0.0):
        self.target = target
        self.delay_s = delay_s
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._pairs = set()
        self._lock = threading.Lock()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                self._reset(client)
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        self._flowing.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        pair = (client, server)
        for end in pair:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._pairs.add(pair)
        other = threading.Thread(target=self._pump, args=(server, client), daemon=True)
        other.start()
        self._pump(client, server)
        other.join()
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            end.close()

    def _pump(self, source, sink):
        try:
            while True:
                piece = source.recv(65536)
                self._flowing.wait()
                if not piece:
                    break
                if self.delay_s:
                    time.sleep(self.delay_s)
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def _reset(end):
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()
        except OSError:
            pass

    def cut(self):
        """Silence: nothing passes, nothing is closed; new connections are accepted and never answered."""
        self._flowing.clear()

    def reset(self):
        """Every connection is reset and new ones are refused, until restore()."""
        self._refusing = True
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            for end in pair:
                try:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def restore(self):
        self._refusing = False
        self._flowing.set()

    def connections(self):
        with self._lock:
            return len(self._pairs)

    def close(self):
        self._closed = True
        self.reset()
        self._flowing.set()
        self._listener.close()
