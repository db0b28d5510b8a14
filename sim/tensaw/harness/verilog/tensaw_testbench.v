// The counterpart of cpp/main.cpp for event-driven simulators: the same commands on standard input, the same answers,
// and the same cycles for each. Two commands are only of use here, because the memory is not shared with the host:
//
//   load    read the memory from memory.hex
//   dump    write it back there
//
// One process does everything in order (sample, decide, clock edge, drive), so there are no races. Macros:
// TENSAW_TRACE if the NPU has trace outputs; BUS_BYTES, ADDRESS_WIDTH and WORDS (memory size in bus words).
`timescale 1ns / 1ps

module tensaw_testbench;
    localparam RESET_CYCLES = 8;
    localparam REGISTER_TIMEOUT = 10000;  // cycles that a register access may take
    localparam STDIN = 32'h8000_0000;
    localparam BUS = 8 * `BUS_BYTES;

    reg clk = 0, rst = 1;
    wire irq;
    reg [11:0] s_awaddr = 0, s_araddr = 0;
    reg [31:0] s_wdata = 0;
    reg s_awvalid = 0, s_wvalid = 0, s_bready = 0, s_arvalid = 0, s_rready = 0;
    wire s_awready, s_wready, s_bvalid, s_arready, s_rvalid;
    wire [1:0] s_bresp, s_rresp;
    wire [31:0] s_rdata;

    wire awid, awvalid, awready, wlast, wvalid, wready, bid, bvalid, bready;
    wire arid, arvalid, arready, rid, rlast, rvalid, rready, awlock, arlock;
    wire [`ADDRESS_WIDTH-1:0] awaddr, araddr;
    wire [7:0] awlen, arlen;
    wire [2:0] awsize, arsize, awprot, arprot;
    wire [1:0] awburst, arburst, bresp, rresp;
    wire [3:0] awcache, awqos, arcache, arqos;
    wire [BUS-1:0] wdata, rdata;
    wire [`BUS_BYTES-1:0] wstrb;

`ifdef TENSAW_TRACE
    wire weight_busy, load_busy, array_busy, output_busy, store_busy;
    wire [15:0] weight_tag, load_tag, array_tag, output_tag, store_tag;
    wire [2:0] array_state;
`endif

    tensaw_npu npu (
        .clk(clk), .rst(rst), .irq(irq),
        .s_axi_awaddr(s_awaddr), .s_axi_awprot(3'd0), .s_axi_awvalid(s_awvalid), .s_axi_awready(s_awready),
        .s_axi_wdata(s_wdata), .s_axi_wstrb(4'd15), .s_axi_wvalid(s_wvalid), .s_axi_wready(s_wready),
        .s_axi_bresp(s_bresp), .s_axi_bvalid(s_bvalid), .s_axi_bready(s_bready),
        .s_axi_araddr(s_araddr), .s_axi_arprot(3'd0), .s_axi_arvalid(s_arvalid), .s_axi_arready(s_arready),
        .s_axi_rdata(s_rdata), .s_axi_rresp(s_rresp), .s_axi_rvalid(s_rvalid), .s_axi_rready(s_rready),
`ifdef TENSAW_TRACE
        .trace_weight_busy(weight_busy), .trace_weight_tag(weight_tag),
        .trace_load_busy(load_busy), .trace_load_tag(load_tag),
        .trace_array_busy(array_busy), .trace_array_tag(array_tag), .trace_array_state(array_state),
        .trace_output_busy(output_busy), .trace_output_tag(output_tag),
        .trace_store_busy(store_busy), .trace_store_tag(store_tag),
`endif
        .m_axi_awid(awid), .m_axi_awaddr(awaddr), .m_axi_awlen(awlen), .m_axi_awsize(awsize),
        .m_axi_awburst(awburst), .m_axi_awlock(awlock), .m_axi_awcache(awcache), .m_axi_awprot(awprot),
        .m_axi_awqos(awqos), .m_axi_awvalid(awvalid), .m_axi_awready(awready),
        .m_axi_wdata(wdata), .m_axi_wstrb(wstrb), .m_axi_wlast(wlast), .m_axi_wvalid(wvalid), .m_axi_wready(wready),
        .m_axi_bid(bid), .m_axi_bresp(bresp), .m_axi_bvalid(bvalid), .m_axi_bready(bready),
        .m_axi_arid(arid), .m_axi_araddr(araddr), .m_axi_arlen(arlen), .m_axi_arsize(arsize),
        .m_axi_arburst(arburst), .m_axi_arlock(arlock), .m_axi_arcache(arcache), .m_axi_arprot(arprot),
        .m_axi_arqos(arqos), .m_axi_arvalid(arvalid), .m_axi_arready(arready),
        .m_axi_rid(rid), .m_axi_rdata(rdata), .m_axi_rresp(rresp), .m_axi_rlast(rlast), .m_axi_rvalid(rvalid),
        .m_axi_rready(rready)
    );

    axi_memory #(.BUS_BYTES(`BUS_BYTES), .ADDRESS_WIDTH(`ADDRESS_WIDTH), .WORDS(`WORDS)) memory (
        .awid(awid), .awaddr(awaddr), .awlen(awlen), .awsize(awsize), .awburst(awburst), .awvalid(awvalid),
        .awready(awready), .wdata(wdata), .wstrb(wstrb), .wlast(wlast), .wvalid(wvalid), .wready(wready),
        .bid(bid), .bresp(bresp), .bvalid(bvalid), .bready(bready),
        .arid(arid), .araddr(araddr), .arlen(arlen), .arsize(arsize), .arburst(arburst), .arvalid(arvalid),
        .arready(arready), .rid(rid), .rdata(rdata), .rresp(rresp), .rlast(rlast), .rvalid(rvalid), .rready(rready)
    );

    reg [63:0] now = 0;     // cycles since power-up
    reg [63:0] cycle = 0;   // cycles since the mark
    reg [63:0] quiet = 0;   // cycles without any progress
    reg changed = 0;

    // Trace outputs, as in cpp/profile.h ----------------------------------------------------------------------------
    integer profile_file = 0;
    reg [8*64-1:0] profile_name = 0, wave_name = 0;
    reg [63:0] wave_first, wave_last;
    reg waves_open = 0;
    reg unit_busy [0:4];
    reg [15:0] unit_tag [0:4];
    reg [63:0] unit_since [0:4];
    reg [2:0] last_state = 0;
    reg [63:0] states [0:8*65536-1];
    integer states_used = 0;

    task close_event(input integer index, input [63:0] at);
        if (unit_busy[index] && profile_file != 0)
            case (index)
                0: $fwrite(profile_file, "event weight %0d %0d %0d\n", unit_tag[0], unit_since[0], at);
                1: $fwrite(profile_file, "event load %0d %0d %0d\n", unit_tag[1], unit_since[1], at);
                2: $fwrite(profile_file, "event array %0d %0d %0d\n", unit_tag[2], unit_since[2], at);
                3: $fwrite(profile_file, "event output %0d %0d %0d\n", unit_tag[3], unit_since[3], at);
                4: $fwrite(profile_file, "event store %0d %0d %0d\n", unit_tag[4], unit_since[4], at);
            endcase
    endtask

    task update_unit(input integer index, input busy, input [15:0] tag);
        if (busy !== unit_busy[index] || (busy && tag !== unit_tag[index])) begin
            changed = 1;
            close_event(index, cycle);
            unit_busy[index] = busy;
            unit_tag[index] = tag;
            unit_since[index] = cycle;
        end
    endtask

    task sample_trace;
        integer slot;
        begin
            changed = 0;
`ifdef TENSAW_TRACE
            changed = array_state === 1 || array_state !== last_state;
            last_state = array_state;
            update_unit(0, weight_busy, weight_tag);
            update_unit(1, load_busy, load_tag);
            update_unit(2, array_busy || last_state != 0, array_tag);
            update_unit(3, output_busy, output_tag);
            update_unit(4, store_busy, store_tag);
            if (unit_busy[2] && profile_file != 0) begin
                slot = 8 * unit_tag[2] + (last_state == 7 ? 3 : last_state == 3 && !unit_busy[1] ? 7 : last_state);
                while (states_used <= slot) begin
                    states[states_used] = 0;
                    states_used = states_used + 1;
                end
                states[slot] = states[slot] + 1;
            end
`endif
        end
    endtask

    task write_profile;
        integer index;
        if (profile_file != 0) begin
            for (index = 0; index < 5; index = index + 1) begin
                close_event(index, cycle);
                unit_busy[index] = 0;
            end
            for (index = 0; index < states_used; index = index + 1)
                if (states[index] != 0)
                    $fwrite(profile_file, "state %0d %0d %0d\n", index / 8, index % 8, states[index]);
            $fclose(profile_file);
            profile_file = 0;
        end
    endtask

    // The clock -----------------------------------------------------------------------------------------------------
    // Called with everything settled; inputs changed by the caller afterwards must be followed by `settle`.
    task tick;
        begin
            if (!rst) begin
                memory.before_edge(now);
                sample_trace;
                quiet = memory.handshake || changed ? 0 : quiet + 1;
            end
            if (waves_open && cycle == wave_first) $dumpon;
            if (waves_open && cycle > wave_last) close_waves;
            clk = 1;
            #5 memory.after_edge;
            clk = 0;
            now = now + 1;
            cycle = cycle + 1;
            #5;
        end
    endtask

    task close_waves;
        if (waves_open) begin
            $dumpoff;
            $dumpflush;
            waves_open = 0;
        end
    endtask

    // Commands ------------------------------------------------------------------------------------------------------
    task answer(input good);
        begin
            if (good) $display("ok");
            else $display("error bad command");
            $fflush;
        end
    endtask

    task write_register(input [31:0] offset, input [31:0] value);
        integer count;
        reg address, data, response;
        begin
            tick;  // cpp/main.cpp has a register before every input
            s_awaddr = offset;
            s_awvalid = 1;
            s_wdata = value;
            s_wvalid = 1;
            s_bready = 1;
            response = 0;
            #1;
            for (count = 0; count < REGISTER_TIMEOUT && !response; count = count + 1) begin
                address = s_awvalid && s_awready === 1'b1;
                data = s_wvalid && s_wready === 1'b1;
                response = s_bvalid === 1'b1;
                tick;
                if (address) s_awvalid = 0;
                if (data) s_wvalid = 0;
                if (response) s_bready = 0;
                #1;
            end
            if (response) $display("ok");
            else $display("error no answer to a register write");
            $fflush;
        end
    endtask

    task read_register(input [31:0] offset);
        integer count;
        reg address, response;
        reg [31:0] value;
        begin
            tick;
            s_araddr = offset;
            s_arvalid = 1;
            s_rready = 1;
            response = 0;
            #1;
            for (count = 0; count < REGISTER_TIMEOUT && !response; count = count + 1) begin
                address = s_arvalid && s_arready === 1'b1;
                response = s_rvalid === 1'b1;
                value = s_rdata;
                tick;
                if (address) s_arvalid = 0;
                if (response) s_rready = 0;
                #1;
            end
            if (response) $display("ok %0d", value);
            else $display("error no answer to a register read");
            $fflush;
        end
    endtask

    task set(input [8*32-1:0] name, input [63:0] value);
        reg good;
        begin
            good = 1;
            case (name)
                "read_latency": memory.read_latency = value;
                "write_latency": memory.write_latency = value;
                "stall": memory.stall = value;
                "seed": memory.seed = value;
                "error_low": memory.error_low = value;
                "error_high": memory.error_high = value;
                "error_response": memory.error_response = value;
                default: good = 0;
            endcase
            answer(good);
        end
    endtask

    task mark;
        integer index;
        begin
            cycle = 0;
            quiet = 0;
            memory.reseed;
            states_used = 0;
            for (index = 0; index < 5; index = index + 1) unit_busy[index] = 0;
            if (profile_name != 0) profile_file = $fopen(profile_name, "w");
            if (wave_name != 0) begin
                $dumpfile(wave_name);
                $dumpvars(1, tensaw_testbench);
                $dumpvars(0, npu);
                if (wave_first != 0) $dumpoff;
                waves_open = 1;
                wave_name = 0;
            end
            answer(1'b1);
        end
    endtask

    task wait_for_interrupt(input [63:0] limit, input [63:0] watchdog, input [63:0] progress);
        reg [63:0] next;
        reg ended;
        begin
            quiet = 0;
            next = cycle + progress;
            ended = 0;
            while (!ended) begin
                ended = 1;
                if (memory.violated || irq === 1'b1 || cycle >= limit || quiet >= watchdog) begin
                    close_waves;
                    write_profile;
                end
                if (memory.violated) begin
                    $display("violation %0d %0s", cycle, memory.violation);
                    memory.violated = 0;
                end else if (irq === 1'b1)
                    $display("irq %0d", cycle);
                else if (cycle >= limit)
                    $display("limit %0d", cycle);
                else if (quiet >= watchdog)
                    $display("hang %0d", cycle);
                else begin
                    ended = 0;
                    if (cycle >= next) begin
                        $display("progress %0d", cycle);
                        $fflush;
                        next = next + progress;
                    end
                    tick;
                end
            end
            $fflush;
        end
    endtask

    reg [8*256-1:0] line;
    reg [8*32-1:0] name, text;
    reg [8*64-1:0] path;
    reg [63:0] value_a, value_b, value_c;
    reg running;
    integer index;

    initial begin
        for (index = 0; index < 5; index = index + 1) unit_busy[index] = 0;
        if (!$value$plusargs("base=%d", memory.base)) memory.base = 0;
        #1;
        for (index = 0; index < RESET_CYCLES; index = index + 1) tick;
        rst = 0;
        #1;
        answer(1'b1);
        running = 1;
        while (running) begin
            name = 0;
            if ($fgets(line, STDIN) == 0) name = "quit";
            else index = $sscanf(line, "%s", name);
            case (name)
                "quit": running = 0;
                "set": begin
                    index = $sscanf(line, "%s %s %d", name, text, value_a);
                    set(text, value_a);
                end
                "write": begin
                    index = $sscanf(line, "%s %d %d", name, value_a, value_b);
                    write_register(value_a, value_b);
                end
                "read": begin
                    index = $sscanf(line, "%s %d", name, value_a);
                    read_register(value_a);
                end
                "profile": begin
                    index = $sscanf(line, "%s %s", name, profile_name);
                    answer(1'b1);
                end
                "waves": begin
                    index = $sscanf(line, "%s %d %d %s", name, wave_first, wave_last, wave_name);
                    answer(1'b1);
                end
                "load": begin
                    $readmemh("memory.hex", memory.words);
                    answer(1'b1);
                end
                "dump": begin
                    $writememh("memory.hex", memory.words);
                    answer(1'b1);
                end
                "mark": mark;
                "wait": begin
                    index = $sscanf(line, "%s %d %d %d", name, value_a, value_b, value_c);
                    wait_for_interrupt(value_a, value_b, value_c);
                end
                default: answer(1'b0);
            endcase
        end
        $finish(0);
    end
endmodule
