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

// Two numbers of 18 bits and their product, each with a register or without. What a design leaves out is not here: other
// clocks than CLK0, resets, chains.
module MULT18X18D #(
    parameter REG_INPUTA_CLK = "NONE", REG_INPUTA_CE = "CE0", REG_INPUTB_CLK = "NONE", REG_INPUTB_CE = "CE0",
    REG_PIPELINE_CLK = "NONE", REG_PIPELINE_CE = "CE0", REG_OUTPUT_CLK = "NONE"
) (
    input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
    input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, CE1, RST0, RST3,
    output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17, P18, P19, P20, P21, P22, P23,
    P24, P25, P26, P27, P28, P29, P30, P31, P32, P33, P34, P35
);
    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    reg [17:0] a_register, b_register;
    reg [35:0] pipeline_register, output_register;

    wire [17:0] a_used = REG_INPUTA_CLK == "CLK0" ? a_register : a;
    wire [17:0] b_used = REG_INPUTB_CLK == "CLK0" ? b_register : b;
    wire signed [18:0] a_signed = {SIGNEDA & a_used[17], a_used};
    wire signed [18:0] b_signed = {SIGNEDB & b_used[17], b_used};
    wire signed [37:0] exact = a_signed * b_signed;
    wire [35:0] product = REG_PIPELINE_CLK == "CLK0" ? pipeline_register : exact[35:0];
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14,
        P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} =
        REG_OUTPUT_CLK == "CLK0" ? output_register : product;

    always @(posedge CLK0) begin
        if (REG_INPUTA_CE == "CE1" ? CE1 : CE0) a_register <= a;
        if (REG_INPUTB_CE == "CE1" ? CE1 : CE0) b_register <= b;
        if (REG_PIPELINE_CE == "CE1" ? CE1 : CE0) pipeline_register <= exact[35:0];
        output_register <= product;
    end
endmodule

// Two halves of a carry chain, each with a table of four inputs: where that gives 1 the carry goes on, else the table's
// lowest four bits say what goes on for A and B. With INJECT1 "YES" a half's carry counts as 0.
module CCU2C #(
    parameter [15:0] INIT0 = 0, parameter [15:0] INIT1 = 0, parameter INJECT1_0 = "YES", parameter INJECT1_1 = "YES"
) (
    input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
    output S0, S1, COUT
);
    wire propagate0 = INIT0[{D0, C0, B0, A0}];
    wire propagate1 = INIT1[{D1, C1, B1, A1}];
    wire generate0 = INJECT1_0 == "YES" ? 1'b0 : INIT0[{2'b00, B0, A0}];
    wire generate1 = INJECT1_1 == "YES" ? 1'b0 : INIT1[{2'b00, B1, A1}];
    wire between = propagate0 ? CIN : generate0;

    assign S0 = propagate0 ^ (INJECT1_0 == "YES" ? 1'b0 : CIN);
    assign S1 = propagate1 ^ (INJECT1_1 == "YES" ? 1'b0 : between);
    assign COUT = propagate1 ? between : generate1;
endmodule
