"""An NPU as a device under test of MLPerf Tiny: its serial protocol, and what bytes and results mean to a benchmark."""
