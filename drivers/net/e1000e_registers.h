// Registers and descriptors of the Intel 82574L.
// Intel 82574 GbE Controller Family Datasheet, revision 3.4; section numbers are of that.
#pragma once

#include <cstdint>

namespace librettos::e1000e {

inline constexpr uint32_t kVendor = 0x8086, kDevice = 0x10d3;
inline constexpr uint64_t kRegisterBytes = 0x20000;  // BAR 0.

// ---- General, 10.2.2.
inline constexpr uint32_t kCtrl = 0x0000;
inline constexpr uint32_t kCtrlMasterDisable = 1 << 2;  // GIO Master Disable, 3.1.3.10.
inline constexpr uint32_t kCtrlSetLinkUp = 1 << 6;
inline constexpr uint32_t kCtrlForceSpeed = 1 << 11;
inline constexpr uint32_t kCtrlForceDuplex = 1 << 12;
inline constexpr uint32_t kCtrlReset = 1 << 26;
inline constexpr uint32_t kCtrlFlowControl = 3 << 27;  // Receive, transmit.
inline constexpr uint32_t kCtrlVlanMode = 1 << 30;
inline constexpr uint32_t kStatus = 0x0008;
inline constexpr uint32_t kStatusLinkUp = 1 << 1;
inline constexpr uint32_t kStatusMasterEnable = 1 << 19;
inline constexpr uint32_t kEecd = 0x0010;
inline constexpr uint32_t kEecdAutoReadDone = 1 << 9;
inline constexpr uint32_t kCtrlExt = 0x0018;
inline constexpr uint32_t kCtrlExtAutoMask = 9 << 24;  // EIAME and IAME.
inline constexpr uint32_t kCtrlExtDriverLoaded = 1 << 28;
inline constexpr uint32_t kCtrlExtPbaClear = 1u << 31;  // PBA support of MSI-X.
// ---- PCIe, 10.2.3.
inline constexpr uint32_t kGcr = 0x5b00;
inline constexpr uint32_t kGcrMustBeOne = 1 << 22;
inline constexpr uint32_t kGcr2 = 0x5b64;
inline constexpr uint32_t kGcr2MustBeOne = 1;  // Specification update: else completions can be lost.

// ---- Interrupts, 10.2.4.
inline constexpr uint32_t kIcr = 0x00c0, kItr = 0x00c4, kIms = 0x00d0, kImc = 0x00d8, kEiac = 0x00dc,
                          kIam = 0x00e0, kIvar = 0x00e4, kEitr = 0x00e8;  // EITR of vector n: + 4 n.
inline constexpr uint32_t kItrNanoseconds = 256;                          // Unit of ITR and EITR.
inline constexpr uint32_t kCauseSent = 1 << 0;                            // TXDW; without MSI-X.
inline constexpr uint32_t kCauseLink = 1 << 2;                            // LSC
inline constexpr uint32_t kCauseReceived = 1 << 7;                        // RXT0; without MSI-X.
inline constexpr uint32_t kCauseReceiveQueue = 1 << 20;                   // RxQ0; with MSI-X.
inline constexpr uint32_t kCauseSendQueue = 1 << 22;                      // TxQ0; with MSI-X.
inline constexpr uint32_t kCauseOther = 1 << 24;                          // Other; with MSI-X.
inline constexpr uint32_t kIvarReceiveShift = 0, kIvarSendShift = 8, kIvarOtherShift = 16;
inline constexpr uint32_t kIvarValid = 8;

// ---- Receive, 10.2.5 and 7.1.
inline constexpr uint32_t kRctl = 0x0100;
inline constexpr uint32_t kRctlEnable = 1 << 1;
inline constexpr uint32_t kRctlUnicastPromiscuous = 1 << 3;
inline constexpr uint32_t kRctlMulticastPromiscuous = 1 << 4;
inline constexpr uint32_t kRctlLongPackets = 1 << 5;
inline constexpr uint32_t kRctlBroadcast = 1 << 15;
inline constexpr uint32_t kRctlStripCrc = 1 << 26;  // Buffers of 2048 bytes: BSIZE and BSEX 0.
inline constexpr uint32_t kReceiveBufferBytes = 2048;
inline constexpr uint32_t kRdbal = 0x2800, kRdbah = 0x2804, kRdlen = 0x2808, kRdh = 0x2810, kRdt = 0x2818;
inline constexpr uint32_t kRdtr = 0x2820, kRxdctl = 0x2828, kRadv = 0x282c;
// Descriptors are fetched 32 ahead, and each is written back at once. GRAN: counted in descriptors.
inline constexpr uint32_t kRxdctlValue = 1 << 24 | 1 << 16 | 4 << 8 | 32;
inline constexpr uint32_t kRxcsum = 0x5000;
inline constexpr uint32_t kRxcsumIp = 1 << 8, kRxcsumTcpUdp = 1 << 9;
inline constexpr uint32_t kRfctl = 0x5008;
inline constexpr uint32_t kRfctlNoNfs = 3 << 6;   // No NFS parsing; write, read.
inline constexpr uint32_t kRfctlNoAck = 1 << 12;  // No cause for each TCP ACK.
inline constexpr uint32_t kRfctlExtended = 1 << 15;
inline constexpr uint32_t kMta = 0x5200;
inline constexpr uint32_t kMtaWords = 128;
inline constexpr uint32_t kRal = 0x5400, kRah = 0x5404;  // Of address n: + 8 n.
inline constexpr uint32_t kAddresses = 16;
inline constexpr uint32_t kRahValid = 1u << 31;
inline constexpr uint32_t kMrqc = 0x5818;
inline constexpr uint32_t kLongestFrame = 0x3f00;  // MAC frame with LPE, 7.1.1.

// Extended receive descriptor, 7.1.5, second quad word: read 0, written back status, errors, length.
inline constexpr uint64_t kRxDone = 1 << 0, kRxEnd = 1 << 1, kRxIgnoreChecksum = 1 << 2;
inline constexpr uint64_t kRxUdpChecked = 1 << 4, kRxTcpChecked = 1 << 5;
inline constexpr uint64_t kRxFrameErrors = 0x97u << 24;     // RXE, CXE, SEQ, SE, CE.
inline constexpr uint64_t kRxChecksumErrors = 0x60u << 24;  // IPE, TCPE.
inline constexpr uint32_t kRxLengthShift = 32;

// ---- Transmit, 10.2.6 and 7.2.
inline constexpr uint32_t kTctl = 0x0400;
inline constexpr uint32_t kTctlEnable = 1 << 1;
// Pad short packets; collision threshold and distance as suggested in 4.6.6; several requests at once (MULR).
inline constexpr uint32_t kTctlValue = 1 << 3 | 15 << 4 | 63 << 12 | 1 << 28;
inline constexpr uint32_t kTipg = 0x0410;
inline constexpr uint32_t kTipgValue = 8 | 8 << 10 | 6 << 20;
inline constexpr uint32_t kTdbal = 0x3800, kTdbah = 0x3804, kTdlen = 0x3808, kTdh = 0x3810, kTdt = 0x3818;
inline constexpr uint32_t kTidv = 0x3820, kTxdctl = 0x3828, kTadv = 0x382c, kTarc0 = 0x3840;
// As RXDCTL; bit 22 must be set.
inline constexpr uint32_t kTxdctlValue = 1 << 24 | 1 << 22 | 1 << 16 | 1 << 8 | 31;
inline constexpr uint32_t kTarcMustBeOne = 1 << 26;
inline constexpr uint32_t kDescriptorBytes = 16;

// Transmit descriptors, 7.2.10 and 7.2.11: command and type in the third double word, status and options in
// the fourth.
inline constexpr uint32_t kTxTypeData = 1 << 20;  // Of a context: 0.
inline constexpr uint32_t kTxEnd = 1 << 24;
inline constexpr uint32_t kTxInsertCrc = 1 << 25;
inline constexpr uint32_t kTxSegment = 1 << 26;  // TSE
inline constexpr uint32_t kTxReport = 1 << 27;   // RS
inline constexpr uint32_t kTxExtended = 1 << 29;
inline constexpr uint32_t kContextTcp = 1 << 24, kContextIp4 = 1 << 25;
inline constexpr uint32_t kTxDone = 1;
inline constexpr uint32_t kTxInsertIpChecksum = 1 << 8;   // POPTS.IXSM
inline constexpr uint32_t kTxInsertTcpChecksum = 1 << 9;  // POPTS.TXSM
inline constexpr uint32_t kLongestHeader = 255;           // HDRLEN and the checksum fields are bytes.
inline constexpr uint32_t kLeastSegment = 17;             // MSS "more than 0x10".

}  // namespace librettos::e1000e
