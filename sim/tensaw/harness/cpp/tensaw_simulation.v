// What Verilator compiles: the NPU with a register before every input.
//
// The C++ decides before a clock edge what the NPU shall see after it, and these registers take it over at that edge. So
// nothing combinational hangs on the top's inputs, and Verilator evaluates the design once a cycle instead of again
// whenever an input may have changed. Macros: BUS_BYTES, ADDRESS_WIDTH, and TENSAW_TRACE if there are trace outputs.
module tensaw_simulation (
    input clk, input rst, output irq,
    input [11:0] s_axi_awaddr, input s_axi_awvalid, output s_axi_awready,
    input [31:0] s_axi_wdata, input s_axi_wvalid, output s_axi_wready, output s_axi_bvalid, input s_axi_bready,
    input [11:0] s_axi_araddr, input s_axi_arvalid, output s_axi_arready,
    output [31:0] s_axi_rdata, output s_axi_rvalid, input s_axi_rready,
    output m_axi_awid, output [`ADDRESS_WIDTH-1:0] m_axi_awaddr, output [7:0] m_axi_awlen, output [2:0] m_axi_awsize,
    output [1:0] m_axi_awburst, output m_axi_awvalid, input m_axi_awready,
    output [8*`BUS_BYTES-1:0] m_axi_wdata, output [`BUS_BYTES-1:0] m_axi_wstrb, output m_axi_wlast,
    output m_axi_wvalid, input m_axi_wready,
    input m_axi_bid, input [1:0] m_axi_bresp, input m_axi_bvalid, output m_axi_bready,
    output m_axi_arid, output [`ADDRESS_WIDTH-1:0] m_axi_araddr, output [7:0] m_axi_arlen, output [2:0] m_axi_arsize,
    output [1:0] m_axi_arburst, output m_axi_arvalid, input m_axi_arready,
    input m_axi_rid, input [8*`BUS_BYTES-1:0] m_axi_rdata, input [1:0] m_axi_rresp, input m_axi_rlast,
    input m_axi_rvalid, output m_axi_rready
`ifdef TENSAW_TRACE
    ,
    output trace_weight_busy, output [15:0] trace_weight_tag,
    output trace_load_busy, output [15:0] trace_load_tag,
    output trace_array_busy, output [15:0] trace_array_tag, output [2:0] trace_array_state,
    output trace_output_busy, output [15:0] trace_output_tag,
    output trace_store_busy, output [15:0] trace_store_tag
`endif
);
    reg rst_q, awvalid_q, wvalid_q, bready_q, arvalid_q, rready_q;
    reg [11:0] awaddr_q, araddr_q;
    reg [31:0] wdata_q;
    reg m_awready_q, m_wready_q, m_bid_q, m_bvalid_q, m_arready_q, m_rid_q, m_rlast_q, m_rvalid_q;
    reg [1:0] m_bresp_q, m_rresp_q;
    reg [8*`BUS_BYTES-1:0] m_rdata_q;

    always @(posedge clk) begin
        rst_q <= rst;
        awaddr_q <= s_axi_awaddr;
        awvalid_q <= s_axi_awvalid;
        wdata_q <= s_axi_wdata;
        wvalid_q <= s_axi_wvalid;
        bready_q <= s_axi_bready;
        araddr_q <= s_axi_araddr;
        arvalid_q <= s_axi_arvalid;
        rready_q <= s_axi_rready;
        m_awready_q <= m_axi_awready;
        m_wready_q <= m_axi_wready;
        m_bid_q <= m_axi_bid;
        m_bresp_q <= m_axi_bresp;
        m_bvalid_q <= m_axi_bvalid;
        m_arready_q <= m_axi_arready;
        m_rid_q <= m_axi_rid;
        m_rdata_q <= m_axi_rdata;
        m_rresp_q <= m_axi_rresp;
        m_rlast_q <= m_axi_rlast;
        m_rvalid_q <= m_axi_rvalid;
    end

    tensaw_npu npu (
        .clk(clk), .rst(rst_q), .irq(irq),
        .s_axi_awaddr(awaddr_q), .s_axi_awprot(3'd0), .s_axi_awvalid(awvalid_q), .s_axi_awready(s_axi_awready),
        .s_axi_wdata(wdata_q), .s_axi_wstrb(4'd15), .s_axi_wvalid(wvalid_q), .s_axi_wready(s_axi_wready),
        .s_axi_bresp(), .s_axi_bvalid(s_axi_bvalid), .s_axi_bready(bready_q),
        .s_axi_araddr(araddr_q), .s_axi_arprot(3'd0), .s_axi_arvalid(arvalid_q), .s_axi_arready(s_axi_arready),
        .s_axi_rdata(s_axi_rdata), .s_axi_rresp(), .s_axi_rvalid(s_axi_rvalid), .s_axi_rready(rready_q),
`ifdef TENSAW_TRACE
        .trace_weight_busy(trace_weight_busy), .trace_weight_tag(trace_weight_tag),
        .trace_load_busy(trace_load_busy), .trace_load_tag(trace_load_tag),
        .trace_array_busy(trace_array_busy), .trace_array_tag(trace_array_tag),
        .trace_array_state(trace_array_state),
        .trace_output_busy(trace_output_busy), .trace_output_tag(trace_output_tag),
        .trace_store_busy(trace_store_busy), .trace_store_tag(trace_store_tag),
`endif
        .m_axi_awid(m_axi_awid), .m_axi_awaddr(m_axi_awaddr), .m_axi_awlen(m_axi_awlen), .m_axi_awsize(m_axi_awsize),
        .m_axi_awburst(m_axi_awburst), .m_axi_awlock(), .m_axi_awcache(), .m_axi_awprot(), .m_axi_awqos(),
        .m_axi_awvalid(m_axi_awvalid), .m_axi_awready(m_awready_q),
        .m_axi_wdata(m_axi_wdata), .m_axi_wstrb(m_axi_wstrb), .m_axi_wlast(m_axi_wlast),
        .m_axi_wvalid(m_axi_wvalid), .m_axi_wready(m_wready_q),
        .m_axi_bid(m_bid_q), .m_axi_bresp(m_bresp_q), .m_axi_bvalid(m_bvalid_q), .m_axi_bready(m_axi_bready),
        .m_axi_arid(m_axi_arid), .m_axi_araddr(m_axi_araddr), .m_axi_arlen(m_axi_arlen), .m_axi_arsize(m_axi_arsize),
        .m_axi_arburst(m_axi_arburst), .m_axi_arlock(), .m_axi_arcache(), .m_axi_arprot(), .m_axi_arqos(),
        .m_axi_arvalid(m_axi_arvalid), .m_axi_arready(m_arready_q),
        .m_axi_rid(m_rid_q), .m_axi_rdata(m_rdata_q), .m_axi_rresp(m_rresp_q), .m_axi_rlast(m_rlast_q),
        .m_axi_rvalid(m_rvalid_q), .m_axi_rready(m_axi_rready)
    );
endmodule
