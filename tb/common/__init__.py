"""What all benches share: ports as Python values, clock and reset, streams, pauses, scoreboards, coverage, AXI."""
