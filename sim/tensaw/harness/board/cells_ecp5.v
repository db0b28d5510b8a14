// Models of the ECP5 primitives that a board's top uses, for the virtual board.

module IB(input I, output O);
    assign O = I;
endmodule

module OB(input I, output O);
    assign O = I;
endmodule

module BB(input I, input T, output O, inout B);
    assign B = T ? 1'bz : I;
    assign O = B;
endmodule

module OFS1P3DX(input D, input SP, input SCLK, input CD, output reg Q);
    always @(posedge SCLK)
        if (CD) Q <= 1'b0;
        else if (SP) Q <= D;
endmodule

module IFS1P3DX(input D, input SP, input SCLK, input CD, output reg Q);
    always @(posedge SCLK)
        if (CD) Q <= 1'b0;
        else if (SP) Q <= D;
endmodule

// A clock on a pin: D0 while the clock is high, D1 while it is low.
module ODDRX1F(input D0, input D1, input SCLK, input RST, output Q);
    assign Q = SCLK ? D0 & ~RST : D1 & ~RST;
endmodule

// The loop's outputs are driven by the simulator, which asks for the settings here; the loop locks after sixteen cycles
// of its input.
module EHXPLLL #(
    parameter PLLRST_ENA = "", INTFB_WAKE = "", STDBY_ENABLE = "", DPHASE_SOURCE = "", OUTDIVIDER_MUXA = "",
    OUTDIVIDER_MUXB = "", OUTDIVIDER_MUXC = "", OUTDIVIDER_MUXD = "", FEEDBK_PATH = "",
    CLKOP_ENABLE = "", CLKOS_ENABLE = "",
    parameter integer CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 1, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0, CLKOS_DIV = 1,
    CLKOS_CPHASE = 0, CLKOS_FPHASE = 0
) (
    input CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG, PLLWAKESYNC, ENCLKOP,
    output CLKOP, CLKOS, LOCK
);
    reg op /* verilator public_flat_rw */ = 1'b0;
    reg os /* verilator public_flat_rw */ = 1'b0;
    reg [31:0] multiply /* verilator public_flat_rd */ = CLKFB_DIV;
    reg [31:0] divide /* verilator public_flat_rd */ = CLKI_DIV;
    // Of CLKOS behind CLKOP, in eighths of the oscillator's period, and how many of these are a period of CLKOP.
    reg [31:0] shift /* verilator public_flat_rd */ =
        8 * (CLKOS_CPHASE - CLKOP_CPHASE) + CLKOS_FPHASE - CLKOP_FPHASE;
    reg [31:0] eighths /* verilator public_flat_rd */ = 8 * CLKOP_DIV;
    reg [4:0] edges = 5'd0;

    assign CLKOP = op;
    assign CLKOS = os;
    assign LOCK = edges[4];
    always @(posedge CLKI)
        if (!edges[4]) edges <= edges + 5'd1;
endmodule
