"""A telephone made of PJSIP, led by lines.

Its one argument is JSON: `user`, `ip` and `port` where it listens, `transport`, `route` (whom every call goes by), and if wanted
`through` (a Route that its calls show), `shown` (the address that it writes into Via and Contact), `papers` (its certificate, its key and whom it believes), `reliable`
(provisional answers are acknowledged) and `credentials` (a name and a password).

Reads commands from standard input. Calls have numbers, from 0, in the order in which they began:
    call URI · ring N · answer N · hold N · resume N · digit N DIGIT · transfer N URI · hang_up N
Tells what happens on standard output. What PJSIP logs goes to standard error.
"""

import json
import os
import select
import sys

import pjsua2 as pj


# PJ_EINVALIDOP
PENDING = 70013
MEDIA = {
    pj.PJSUA_CALL_MEDIA_ACTIVE: "flows",
    pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: "held-here",
    pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: "held-there",
}


# PJSIP would write there too.
told = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def tell(*words):
    print(*words, file=told, flush=True)


class Call(pj.Call):
    def __init__(self, phone, number=pj.PJSUA_INVALID_ID):
        super().__init__(phone, number)
        self.phone = phone
        self.name = len(phone.calls)
        phone.calls.append(self)

    def onCallState(self, _):
        info = self.getInfo()
        tell("state", self.name, info.stateText, info.lastStatusCode, info.lastReason)

    def onCallMediaState(self, _):
        info = self.getInfo()
        tell("media", self.name, MEDIA.get(info.media[0].status, "none"))

    def onDtmfDigit(self, digit):
        tell("digit", self.name, digit.digit)

    def onCallTransferRequest(self, asked):
        call = Call(self.phone)
        asked.newCall = call
        tell("transfer", self.name, call.name, asked.dstUri)

    def onCallTransferStatus(self, status):
        tell("transferred", self.name, status.statusCode, status.finalNotify)


class Phone(pj.Account):
    def __init__(self):
        super().__init__()
        self.calls = []

    def onIncomingCall(self, incoming):
        call = Call(self, incoming.callId)
        tell("incoming", call.name, call.getInfo().remoteUri)

    def does(self, what, *words):
        """Whether it could be done by now: of two changes of a call, the second waits for the ACK of the first."""
        try:
            self.tries(what, *words)
        except pj.Error as error:
            if error.status != PENDING:
                raise
            return False
        return True

    def tries(self, what, *words):
        if what == "call":
            call = Call(self)
            call.makeCall(words[0], pj.CallOpParam(True))
            return
        call, option = self.calls[int(words[0])], pj.CallOpParam()
        if what in ("ring", "answer"):
            option.statusCode = 180 if what == "ring" else 200
            call.answer(option)
        elif what == "hold":
            call.setHold(option)
        elif what == "resume":
            option = pj.CallOpParam(True)
            option.opt.flag = pj.PJSUA_CALL_UNHOLD
            call.reinvite(option)
        elif what == "digit":
            digit = pj.CallSendDtmfParam()
            digit.method, digit.digits = pj.PJSUA_DTMF_METHOD_SIP_INFO, words[1]
            call.sendDtmf(digit)
        elif what == "transfer":
            call.xfer(words[1], option)
        elif what == "hang_up":
            call.hangup(option)
        else:
            raise ValueError(what)


def started(settings):
    config = pj.EpConfig()
    # Everything happens in this thread, between two commands.
    config.uaConfig.threadCnt, config.uaConfig.mainThreadOnly = 0, True
    config.uaConfig.userAgent = "PJSIP"
    config.logConfig.level = config.logConfig.consoleLevel = 4
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    endpoint.libInit(config)
    transport = pj.TransportConfig()
    transport.boundAddress, transport.port = settings["ip"], settings["port"]
    shown = settings.get("shown", "")
    transport.publicAddress = shown
    if "papers" in settings:
        tls = transport.tlsConfig
        tls.certFile, tls.privKeyFile, tls.CaListFile = settings["papers"]
        tls.verifyServer = tls.verifyClient = tls.requireClientCert = True
    kinds = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP, "tls": pj.PJSIP_TRANSPORT_TLS}
    number = endpoint.transportCreate(kinds[settings["transport"]], transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith("PCMA") else 0)
    account = pj.AccountConfig()
    account.idUri = f"sip:{settings['user']}@{settings['ip']}"
    account.sipConfig.transportId = number
    account.sipConfig.proxies.append(settings["route"])
    if "through" in settings:
        account.sipConfig.proxies.append(settings["through"])
    for user, password in filter(None, [settings.get("credentials")]):
        account.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, password))
    # What it writes is what it was told, whatever others see of it.
    account.natConfig.contactRewriteUse = account.natConfig.viaRewriteUse = account.natConfig.sdpNatRewriteUse = 0
    account.natConfig.sipOutboundUse = 0
    if shown:
        account.sipConfig.contactForced = f"<sip:{settings['user']}@{shown}:{settings['port']};transport={settings['transport']}>"
    account.mediaConfig.transportConfig.boundAddress = settings["ip"]
    account.mediaConfig.transportConfig.port = 40000
    if settings.get("reliable"):
        account.callConfig.prackUse = pj.PJSUA_100REL_MANDATORY
    phone = Phone()
    phone.create(account)
    return endpoint, phone


def main():
    endpoint, phone = started(json.loads(sys.argv[1]))
    tell("ready")
    text, commands = b"", []
    while True:
        endpoint.libHandleEvents(10)
        if select.select([0], [], [], 0)[0]:
            octets = os.read(0, 4096)
            if not octets:
                return
            *lines, text = (text + octets).split(b"\n")
            commands += [line.decode().split() for line in lines]
        if commands and phone.does(*commands[0]):
            del commands[0]


main()
