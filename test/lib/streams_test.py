"""The arithmetic that the system tests lean on."""
import hashlib
import pathlib
import tempfile
import unittest

from lib import runner
from lib.streams import make_file, percentile


class PercentileTest(unittest.TestCase):
    def test_nearest_rank(self):
        values = list(range(1, 101))
        self.assertEqual(percentile(values, 0.5), 50)
        self.assertEqual(percentile(values, 0.99), 99)
        self.assertEqual(percentile(values, 1.0), 100)

    def test_few_values(self):
        self.assertEqual(percentile([7], 0.99), 7)
        self.assertEqual(percentile([3, 1, 2], 0.5), 2)
        self.assertEqual(percentile([], 0.5), 0.0)


class MakeFileTest(unittest.TestCase):
    def test_sum_is_that_of_the_content(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "file"
            expected = make_file(path, 3 << 20)
            self.assertEqual(path.stat().st_size, 3 << 20)
            self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), expected)


if __name__ == "__main__":
    runner.main()
