// A stand-in for the NPU in tests of harness and runtime: the same ports and registers, a trivial task. It copies region
// 1 to region 2 through bursts of up to eight beats and inverts every byte. PROGRAM_BYTES chooses what it does instead:
// 32 waits for ever, 48 reads across a 4 KiB boundary, 64 changes an address that was not taken, 80 forgets WLAST,
// 96 reads outside the memory, 112 stops with ILLEGAL_VALUE of the OUTPUT unit, tag 1.
module tensaw_npu #(
    parameter BUS_BYTES = 8,
    parameter ADDRESS_WIDTH = 32,
    parameter DIGEST = 0,
    parameter SHAPE = 0
) (
    input clk, input rst, output irq,
    input [11:0] s_axi_awaddr, input [2:0] s_axi_awprot, input s_axi_awvalid, output s_axi_awready,
    input [31:0] s_axi_wdata, input [3:0] s_axi_wstrb, input s_axi_wvalid, output s_axi_wready,
    output [1:0] s_axi_bresp, output reg s_axi_bvalid, input s_axi_bready,
    input [11:0] s_axi_araddr, input [2:0] s_axi_arprot, input s_axi_arvalid, output s_axi_arready,
    output reg [31:0] s_axi_rdata, output [1:0] s_axi_rresp, output reg s_axi_rvalid, input s_axi_rready,
    output m_axi_awid, output [ADDRESS_WIDTH-1:0] m_axi_awaddr, output [7:0] m_axi_awlen, output [2:0] m_axi_awsize,
    output [1:0] m_axi_awburst, output m_axi_awlock, output [3:0] m_axi_awcache, output [2:0] m_axi_awprot,
    output [3:0] m_axi_awqos, output m_axi_awvalid, input m_axi_awready,
    output [8*BUS_BYTES-1:0] m_axi_wdata, output [BUS_BYTES-1:0] m_axi_wstrb, output m_axi_wlast, output m_axi_wvalid,
    input m_axi_wready, input m_axi_bid, input [1:0] m_axi_bresp, input m_axi_bvalid, output m_axi_bready,
    output m_axi_arid, output [ADDRESS_WIDTH-1:0] m_axi_araddr, output [7:0] m_axi_arlen, output [2:0] m_axi_arsize,
    output [1:0] m_axi_arburst, output m_axi_arlock, output [3:0] m_axi_arcache, output [2:0] m_axi_arprot,
    output [3:0] m_axi_arqos, output m_axi_arvalid, input m_axi_arready,
    input m_axi_rid, input [8*BUS_BYTES-1:0] m_axi_rdata, input [1:0] m_axi_rresp, input m_axi_rlast,
    input m_axi_rvalid, output m_axi_rready,
    output trace_weight_busy, output [15:0] trace_weight_tag,
    output trace_load_busy, output [15:0] trace_load_tag,
    output trace_array_busy, output [15:0] trace_array_tag, output [2:0] trace_array_state,
    output trace_output_busy, output [15:0] trace_output_tag,
    output trace_store_busy, output [15:0] trace_store_tag
);
    localparam [2:0] IDLE = 0, ADDRESS = 1, DATA = 2, COMPUTE = 3, WRITE = 4, RESPONSE = 5, HANG = 6, FINISH = 7;

    reg [31:0] registers [0:255];
    reg [2:0] state;
    reg busy, done, failed;
    reg [63:0] cycles;
    reg [31:0] beats_left, beats_done, error, error_address;
    reg [3:0] burst, beat, computed;
    reg aw_sent, wiggle;
    reg [8*BUS_BYTES-1:0] buffer [0:7];
    wire [31:0] mode = registers[12'h044 >> 2];
    wire [63:0] source = {registers[12'h094 >> 2], registers[12'h090 >> 2]};
    wire [63:0] target = {registers[12'h0a4 >> 2], registers[12'h0a0 >> 2]};

    // Registers: one access at a time, answered in the next cycle.
    wire write = s_axi_awvalid && s_axi_wvalid && !s_axi_bvalid;
    wire read = s_axi_arvalid && !s_axi_rvalid;
    wire start = write && s_axi_awaddr == 12'h020 && s_axi_wdata[0] && !busy;
    assign s_axi_awready = write, s_axi_wready = write, s_axi_arready = read;
    assign s_axi_bresp = 0, s_axi_rresp = 0;
    assign irq = registers[12'h028 >> 2][0] && (done || failed);

    wire finish = state == FINISH;
    always @(posedge clk) begin
        if (s_axi_bready) s_axi_bvalid <= 0;
        if (s_axi_rready) s_axi_rvalid <= 0;
        if (write) begin
            s_axi_bvalid <= 1;
            if (s_axi_awaddr == 12'h024) begin
                done <= done & ~s_axi_wdata[1];
                failed <= failed & ~s_axi_wdata[2];
            end else registers[s_axi_awaddr >> 2] <= s_axi_wdata;
        end
        if (read) begin
            s_axi_rvalid <= 1;
            case (s_axi_araddr)
                12'h000: s_axi_rdata <= 32'h57415354;
                12'h004: s_axi_rdata <= 1;
                12'h008: s_axi_rdata <= DIGEST;
                12'h00c: s_axi_rdata <= SHAPE;
                12'h024: s_axi_rdata <= {29'd0, failed, done, busy};
                12'h030: s_axi_rdata <= error;
                12'h034: s_axi_rdata <= error_address;
                12'h038: s_axi_rdata <= 0;
                12'h100: s_axi_rdata <= cycles[31:0];
                12'h188: s_axi_rdata <= state == HANG ? 32'h0002_0513 : 0;  // ARRAY: tag 2, 5 words, for LOAD, state 3
                12'h18c: s_axi_rdata <= state == HANG ? 32'h0001_0022 : 0;  // OUTPUT: tag 1, waits for ARRAY's token
                default: s_axi_rdata <= s_axi_araddr < 12'h100 ? registers[s_axi_araddr >> 2] : 0;
            endcase
        end
        if (busy) cycles <= cycles + 1;
        if (start) begin
            cycles <= 0;
            busy <= 1;
            done <= 0;
            failed <= 0;
        end
        if (finish) begin
            busy <= 0;
            if (error != 0) failed <= 1;
            else done <= 1;
        end
        if (rst) begin
            {s_axi_bvalid, s_axi_rvalid, busy, done, failed} <= 0;
            registers[12'h028 >> 2] <= 0;
        end
    end

    // The task.
    wire [3:0] next_burst = beats_left > 8 ? 8 : beats_left[3:0];
    assign m_axi_arid = 1, m_axi_arsize = $clog2(BUS_BYTES), m_axi_arburst = 1, m_axi_arlock = 0, m_axi_arcache = 3;
    assign m_axi_arprot = 0, m_axi_arqos = 0, m_axi_arvalid = state == ADDRESS, m_axi_arlen = next_burst - 1;
    assign m_axi_araddr = mode == 48 ? source + 4096 - BUS_BYTES : mode == 96 ? {ADDRESS_WIDTH{1'b1}} & ~64'hfff :
                          source + beats_done * BUS_BYTES + (mode == 64 && wiggle ? BUS_BYTES : 0);
    assign m_axi_rready = state == DATA;
    assign m_axi_awid = 0, m_axi_awsize = $clog2(BUS_BYTES), m_axi_awburst = 1, m_axi_awlock = 0, m_axi_awcache = 3;
    assign m_axi_awprot = 0, m_axi_awqos = 0, m_axi_awvalid = state == WRITE && !aw_sent, m_axi_awlen = burst - 1;
    assign m_axi_awaddr = target + beats_done * BUS_BYTES;
    assign m_axi_wvalid = state == WRITE && beat != burst, m_axi_wlast = beat == burst - 1 && mode != 80;
    assign m_axi_wdata = buffer[beat[2:0]], m_axi_wstrb = {BUS_BYTES{1'b1}};
    assign m_axi_bready = state == RESPONSE;

    always @(posedge clk) begin
        wiggle <= state == ADDRESS && !wiggle;
        case (state)
            IDLE: if (start) begin
                error <= 0;
                beats_done <= 0;
                beats_left <= registers[12'h098 >> 2] / BUS_BYTES;
                state <= mode == 32 ? HANG : mode == 112 ? FINISH : ADDRESS;
                if (mode == 112) error <= 32'h0001_0406;
                error_address <= 0;
            end
            ADDRESS: if (m_axi_arready) begin
                burst <= next_burst;
                beat <= 0;
                state <= DATA;
            end
            DATA: if (m_axi_rvalid) begin
                buffer[beat[2:0]] <= ~m_axi_rdata;
                beat <= beat + 1;
                computed <= 0;
                if (m_axi_rresp != 0 && error == 0) begin
                    error <= {16'd0, 4'd0, 4'd2, 6'd0, m_axi_rresp == 3 ? 2'd2 : 2'd1};
                    error_address <= source + beats_done * BUS_BYTES;
                end
                if (m_axi_rlast) state <= m_axi_rresp != 0 || error != 0 ? FINISH : COMPUTE;
            end
            COMPUTE: begin
                computed <= computed + 1;
                beat <= 0;
                aw_sent <= 0;
                if (computed == 9) state <= WRITE;
            end
            WRITE: begin
                if (m_axi_awready) aw_sent <= 1;
                if (m_axi_wvalid && m_axi_wready) beat <= beat + 1;
                if ((aw_sent || m_axi_awready) && (beat == burst || (beat == burst - 1 && m_axi_wready)))
                    state <= RESPONSE;
            end
            RESPONSE: if (m_axi_bvalid) begin
                beats_done <= beats_done + burst;
                beats_left <= beats_left - burst;
                if (m_axi_bresp != 0) error <= {16'd0, 4'd0, 4'd5, 6'd0, m_axi_bresp == 3 ? 2'd0 : 2'd3};
                state <= m_axi_bresp != 0 || beats_left == burst ? FINISH : ADDRESS;
            end
            HANG: ;
            FINISH: state <= IDLE;
        endcase
        if (rst) begin
            state <= IDLE;
            computed <= 0;
            error <= 0;
        end
    end

    // Load has tag 0, the array tags 1 and 2 in turn, the store tag 2.
    assign trace_weight_busy = 0, trace_weight_tag = 0;
    assign trace_load_busy = state == ADDRESS || state == DATA, trace_load_tag = 0;
    assign trace_array_busy = state == COMPUTE || state == HANG, trace_array_tag = computed < 5 ? 1 : 2;
    assign trace_array_state = state == COMPUTE ? (computed == 0 ? 2 : 1) : state == HANG ? 3 : 0;
    assign trace_output_busy = 0, trace_output_tag = 0;
    assign trace_store_busy = state == WRITE || state == RESPONSE, trace_store_tag = 2;
endmodule
