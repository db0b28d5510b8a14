// Primitives of an iCE40 UltraPlus, as far as a board's top uses them: what they do, not how fast.

// The loop's output is driven by the simulator, which asks for the settings here; the loop locks after sixteen cycles
// of its input.
module SB_PLL40_PAD #(
  parameter FEEDBACK_PATH = "SIMPLE",
  parameter [3:0] DIVR = 0,
  parameter [6:0] DIVF = 0,
  parameter [2:0] DIVQ = 0,
  parameter [2:0] FILTER_RANGE = 0
) (
  input PACKAGEPIN,
  input RESETB,
  input BYPASS,
  output PLLOUTGLOBAL,
  output LOCK
);
  reg op /* verilator public_flat_rw */ = 1'b0;
  reg os /* verilator public_flat_rw */ = 1'b0;
  reg [31:0] multiply /* verilator public_flat_rd */ = {25'b0, DIVF} + 1;
  reg [31:0] divide /* verilator public_flat_rd */ = ({28'b0, DIVR} + 1) << DIVQ;
  reg [31:0] shift /* verilator public_flat_rd */ = 0;
  reg [31:0] eighths /* verilator public_flat_rd */ = 8;
  reg [4:0] edges = 5'd0;

  assign PLLOUTGLOBAL = op;
  assign LOCK = edges[4];
  always @(posedge PACKAGEPIN)
    if (!edges[4]) edges <= edges + 5'd1;
endmodule

module SB_IO #(
  parameter [5:0] PIN_TYPE = 0,
  parameter [0:0] PULLUP = 0
) (
  inout PACKAGE_PIN,
  input D_OUT_0,
  output D_IN_0
);
  assign D_IN_0 = PACKAGE_PIN;
  generate
    if (PIN_TYPE[5:2] == 4'b0110) assign PACKAGE_PIN = D_OUT_0;
  endgenerate
endmodule

module SB_SPRAM256KA (
  input [13:0] ADDRESS,
  input [15:0] DATAIN,
  input [3:0] MASKWREN,
  input WREN,
  input CHIPSELECT,
  input CLOCK,
  input STANDBY,
  input SLEEP,
  input POWEROFF,
  output reg [15:0] DATAOUT
);
  reg [15:0] memory [0:16383];
  wire [15:0] mask = {{4{MASKWREN[3]}}, {4{MASKWREN[2]}}, {4{MASKWREN[1]}}, {4{MASKWREN[0]}}};
  always @(posedge CLOCK)
    if (CHIPSELECT && !STANDBY && !SLEEP && POWEROFF) begin
      if (WREN) memory[ADDRESS] <= (memory[ADDRESS] & ~mask) | (DATAIN & mask);
      // While it writes, its output is undefined.
      DATAOUT <= WREN ? ~DATAIN : memory[ADDRESS];
    end
endmodule
