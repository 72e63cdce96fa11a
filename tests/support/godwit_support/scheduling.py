"""Who runs which test: the long ones first, then one by one to whoever is free, so that nobody is left with many at the end."""
try:
    from xdist.scheduler import LoadScheduling
except ImportError:  # tests run one after the other
    LoadScheduling = object


class OneByOne(LoadScheduling):
    """xdist's own hands out dozens at a time: fair where all tests take as long as each other."""

    AHEAD = 2  # a worker begins a test when it knows its next

    def schedule(self):
        if self.collection is None:
            if not self._check_nodes_have_same_collection():
                return
            self.collection = next(iter(self.node2collection.values()))
            self.pending[:] = range(len(self.collection))
        for _ in range(self.AHEAD):
            for node in self.nodes:
                if len(self.node2pending[node]) < self.AHEAD:
                    self._send_tests(node, 1)
        if not self.pending:
            for node in self.nodes:
                node.shutdown()

    def check_schedule(self, node, duration=0):
        if node.shutting_down:
            return
        if not self.pending:
            node.shutdown()
        elif len(self.node2pending[node]) < self.AHEAD:
            self._send_tests(node, 1)


def long_first(items):
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
