"""The host link in hardware: docs/link.md on a UART, an AXI4 manager and an AXI4-Lite manager."""
