// Primitives of a Gowin GW2A, as far as the top of a board whose SDRAM is not used needs them: what they do, not how
// fast.

module IBUF(input I, output O);
    assign O = I;
endmodule

module OBUF(input I, output O);
    assign O = I;
endmodule

module IOBUF(input I, input OEN, output O, inout IO);
    assign IO = OEN ? 1'bz : I;
    assign O = IO;
endmodule

// The loop's outputs are driven by the simulator, which asks for the settings here; the loop locks after sixteen cycles
// of its input.
module rPLL #(
    parameter DEVICE = "", FCLKIN = "", PSDA_SEL = "0000", DUTYDA_SEL = "", DYN_IDIV_SEL = "", DYN_FBDIV_SEL = "",
    DYN_ODIV_SEL = "", DYN_DA_EN = "", CLKFB_SEL = "", CLKOUT_BYPASS = "", CLKOUTP_BYPASS = "", CLKOUTD_BYPASS = "",
    CLKOUTP_FT_DIR = 1, CLKOUT_FT_DIR = 1,
    parameter integer IDIV_SEL = 0, FBDIV_SEL = 0, ODIV_SEL = 0, CLKOUTP_DLY_STEP = 0, CLKOUT_DLY_STEP = 0
) (
    input CLKIN, CLKFB, RESET, RESET_P,
    input [5:0] FBDSEL, IDSEL, ODSEL,
    input [3:0] PSDA, DUTYDA, FDLY,
    output CLKOUT, CLKOUTP, LOCK
);
    reg op /* verilator public_flat_rw */ = 1'b0;
    reg os /* verilator public_flat_rw */ = 1'b0;
    reg [31:0] multiply /* verilator public_flat_rd */ = FBDIV_SEL + 1;
    reg [31:0] divide /* verilator public_flat_rd */ = IDIV_SEL + 1;
    reg [31:0] shift /* verilator public_flat_rd */ = 0;
    reg [31:0] eighths /* verilator public_flat_rd */ = 8;
    reg [4:0] edges = 5'd0;

    assign CLKOUT = op;
    assign CLKOUTP = os;
    assign LOCK = edges[4];
    always @(posedge CLKIN)
        if (!edges[4]) edges <= edges + 5'd1;
endmodule
