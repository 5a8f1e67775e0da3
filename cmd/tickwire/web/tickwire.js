// The client of codec/ts, bundled by npm run bundle; do not edit. Contains @msgpack/msgpack (ISC, Copyright 2019 The MessagePack Community).

// src/emitter.ts
var Emitter = class {
  #listeners = {};
  /** Calls fn at every such event, until the function returned is called. */
  on(name, fn) {
    const set = this.#listeners[name] ??= /* @__PURE__ */ new Set();
    set.add(fn);
    return () => void set.delete(fn);
  }
  emit(name, ...args) {
    for (const fn of this.#listeners[name] ?? []) fn(...args);
  }
};

// src/quote.ts
var FIELDS = [
  "bid",
  "bid_size",
  "ask",
  "ask_size",
  "last",
  "last_size",
  "volume",
  "turnover",
  "open",
  "high",
  "low",
  "vwap",
  "trades",
  "status",
  "event_time",
  "recv_time",
  "price_scale",
  "size_scale",
  "volume_scale"
];
var INDEX = Object.fromEntries(FIELDS.map((name, i) => [name, i]));
var STATUSES = ["live", "stale", "down", "halted", "closed"];
var MAX_INT = Number.MAX_SAFE_INTEGER;
var MAX_SCALE = 15;
var SCALE_OF = FIELDS.map((name) => {
  if (["bid", "ask", "last", "open", "high", "low", "vwap"].includes(name)) return INDEX.price_scale;
  if (["bid_size", "ask_size", "last_size"].includes(name)) return INDEX.size_scale;
  if (["volume", "turnover"].includes(name)) return INDEX.volume_scale;
  return void 0;
});
var scaleOf = (index) => SCALE_OF[index];
var Quote = class {
  constructor(symbol) {
    this.symbol = symbol;
  }
  symbol;
  /** Mantissas, counts and times by field index; null is not known. */
  values = new Array(FIELDS.length).fill(null);
  seq = 0;
  /** Unix ms of the birth of the history its seqs belong to. */
  history = 0;
  /** What the last update said of itself. */
  image = false;
  gap = false;
  conflated = null;
  /** Updates between the last and the one before that were merged into it. */
  skipped = 0;
  /** Fields of the last update, as a bit set by field index. */
  mask = 0;
  /** A field's exact text: a decimal with all its decimals, an integer, or the status by name. */
  text(field) {
    const i = INDEX[field];
    const v = this.values[i];
    if (v == null) return null;
    if (field === "status") return STATUSES[v] ?? String(v);
    const scale = SCALE_OF[i];
    return scale === void 0 ? String(v) : decimalText(v, this.values[scale] ?? 0);
  }
  /** A field as a number, for charts: decimals may be rounded to what a double holds. */
  number(field) {
    const i = INDEX[field];
    const v = this.values[i];
    if (v == null) return null;
    const scale = SCALE_OF[i];
    return scale === void 0 ? v : v / 10 ** (this.values[scale] ?? 0);
  }
  get status() {
    return this.text("status");
  }
  /** The names of the fields that the last update carried. */
  get changed() {
    return FIELDS.filter((_, i) => this.mask >>> i & 1);
  }
};
function decimalText(mantissa, scale) {
  if (scale === 0) return String(mantissa);
  const digits = String(Math.abs(mantissa)).padStart(scale + 1, "0");
  return (mantissa < 0 ? "-" : "") + digits.slice(0, -scale) + "." + digits.slice(-scale);
}
function parseDecimal(text) {
  const m = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!m) return null;
  const part = m[3] ?? "";
  const mantissa = Number(m[2] + part);
  if (mantissa > MAX_INT || part.length > MAX_SCALE) return null;
  return { mantissa: m[1] && mantissa ? -mantissa : mantissa, scale: part.length };
}

// node_modules/@msgpack/msgpack/dist.esm/utils/utf8.mjs
var sharedTextEncoder = new TextEncoder();
var CHUNK_SIZE = 4096;
function utf8DecodeJs(bytes, inputOffset, byteLength) {
  let offset = inputOffset;
  const end = offset + byteLength;
  const units = [];
  let result = "";
  while (offset < end) {
    const byte1 = bytes[offset++];
    if ((byte1 & 128) === 0) {
      units.push(byte1);
    } else if ((byte1 & 224) === 192) {
      const byte2 = bytes[offset++] & 63;
      units.push((byte1 & 31) << 6 | byte2);
    } else if ((byte1 & 240) === 224) {
      const byte2 = bytes[offset++] & 63;
      const byte3 = bytes[offset++] & 63;
      units.push((byte1 & 31) << 12 | byte2 << 6 | byte3);
    } else if ((byte1 & 248) === 240) {
      const byte2 = bytes[offset++] & 63;
      const byte3 = bytes[offset++] & 63;
      const byte4 = bytes[offset++] & 63;
      let unit = (byte1 & 7) << 18 | byte2 << 12 | byte3 << 6 | byte4;
      if (unit > 65535) {
        unit -= 65536;
        units.push(unit >>> 10 & 1023 | 55296);
        unit = 56320 | unit & 1023;
      }
      units.push(unit);
    } else {
      units.push(byte1);
    }
    if (units.length >= CHUNK_SIZE) {
      result += String.fromCharCode(...units);
      units.length = 0;
    }
  }
  if (units.length > 0) {
    result += String.fromCharCode(...units);
  }
  return result;
}
var sharedTextDecoder = new TextDecoder();
var TEXT_DECODER_THRESHOLD = 200;
function utf8DecodeTD(bytes, inputOffset, byteLength) {
  const stringBytes = bytes.subarray(inputOffset, inputOffset + byteLength);
  return sharedTextDecoder.decode(stringBytes);
}
function utf8Decode(bytes, inputOffset, byteLength) {
  if (byteLength > TEXT_DECODER_THRESHOLD) {
    return utf8DecodeTD(bytes, inputOffset, byteLength);
  } else {
    return utf8DecodeJs(bytes, inputOffset, byteLength);
  }
}

// node_modules/@msgpack/msgpack/dist.esm/ExtData.mjs
var ExtData = class {
  type;
  data;
  constructor(type, data) {
    this.type = type;
    this.data = data;
  }
};

// node_modules/@msgpack/msgpack/dist.esm/DecodeError.mjs
var DecodeError = class _DecodeError extends Error {
  constructor(message) {
    super(message);
    const proto = Object.create(_DecodeError.prototype);
    Object.setPrototypeOf(this, proto);
    Object.defineProperty(this, "name", {
      configurable: true,
      enumerable: false,
      value: _DecodeError.name
    });
  }
};

// node_modules/@msgpack/msgpack/dist.esm/utils/int.mjs
var UINT32_MAX = 4294967295;
function setInt64(view, offset, value) {
  const high = Math.floor(value / 4294967296);
  const low = value;
  view.setUint32(offset, high);
  view.setUint32(offset + 4, low);
}
function getInt64(view, offset) {
  const high = view.getInt32(offset);
  const low = view.getUint32(offset + 4);
  return high * 4294967296 + low;
}
function getUint64(view, offset) {
  const high = view.getUint32(offset);
  const low = view.getUint32(offset + 4);
  return high * 4294967296 + low;
}

// node_modules/@msgpack/msgpack/dist.esm/timestamp.mjs
var EXT_TIMESTAMP = -1;
var TIMESTAMP32_MAX_SEC = 4294967296 - 1;
var TIMESTAMP64_MAX_SEC = 17179869184 - 1;
function encodeTimeSpecToTimestamp({ sec, nsec }) {
  if (sec >= 0 && nsec >= 0 && sec <= TIMESTAMP64_MAX_SEC) {
    if (nsec === 0 && sec <= TIMESTAMP32_MAX_SEC) {
      const rv = new Uint8Array(4);
      const view = new DataView(rv.buffer);
      view.setUint32(0, sec);
      return rv;
    } else {
      const secHigh = sec / 4294967296;
      const secLow = sec & 4294967295;
      const rv = new Uint8Array(8);
      const view = new DataView(rv.buffer);
      view.setUint32(0, nsec << 2 | secHigh & 3);
      view.setUint32(4, secLow);
      return rv;
    }
  } else {
    const rv = new Uint8Array(12);
    const view = new DataView(rv.buffer);
    view.setUint32(0, nsec);
    setInt64(view, 4, sec);
    return rv;
  }
}
function encodeDateToTimeSpec(date) {
  const msec = date.getTime();
  const sec = Math.floor(msec / 1e3);
  const nsec = (msec - sec * 1e3) * 1e6;
  const nsecInSec = Math.floor(nsec / 1e9);
  return {
    sec: sec + nsecInSec,
    nsec: nsec - nsecInSec * 1e9
  };
}
function encodeTimestampExtension(object) {
  if (object instanceof Date) {
    const timeSpec = encodeDateToTimeSpec(object);
    return encodeTimeSpecToTimestamp(timeSpec);
  } else {
    return null;
  }
}
function decodeTimestampToTimeSpec(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  switch (data.byteLength) {
    case 4: {
      const sec = view.getUint32(0);
      const nsec = 0;
      return { sec, nsec };
    }
    case 8: {
      const nsec30AndSecHigh2 = view.getUint32(0);
      const secLow32 = view.getUint32(4);
      const sec = (nsec30AndSecHigh2 & 3) * 4294967296 + secLow32;
      const nsec = nsec30AndSecHigh2 >>> 2;
      return { sec, nsec };
    }
    case 12: {
      const sec = getInt64(view, 4);
      const nsec = view.getUint32(0);
      return { sec, nsec };
    }
    default:
      throw new DecodeError(`Unrecognized data size for timestamp (expected 4, 8, or 12): ${data.length}`);
  }
}
function decodeTimestampExtension(data) {
  const timeSpec = decodeTimestampToTimeSpec(data);
  return new Date(timeSpec.sec * 1e3 + timeSpec.nsec / 1e6);
}
var timestampExtension = {
  type: EXT_TIMESTAMP,
  encode: encodeTimestampExtension,
  decode: decodeTimestampExtension
};

// node_modules/@msgpack/msgpack/dist.esm/ExtensionCodec.mjs
var ExtensionCodec = class _ExtensionCodec {
  static defaultCodec = new _ExtensionCodec();
  // ensures ExtensionCodecType<X> matches ExtensionCodec<X>
  // this will make type errors a lot more clear
  // eslint-disable-next-line @typescript-eslint/naming-convention
  __brand;
  // built-in extensions
  builtInEncoders = [];
  builtInDecoders = [];
  // custom extensions
  encoders = [];
  decoders = [];
  constructor() {
    this.register(timestampExtension);
  }
  register({ type, encode, decode: decode2 }) {
    if (type >= 0) {
      this.encoders[type] = encode;
      this.decoders[type] = decode2;
    } else {
      const index = -1 - type;
      this.builtInEncoders[index] = encode;
      this.builtInDecoders[index] = decode2;
    }
  }
  tryToEncode(object, context) {
    for (let i = 0; i < this.builtInEncoders.length; i++) {
      const encodeExt = this.builtInEncoders[i];
      if (encodeExt != null) {
        const data = encodeExt(object, context);
        if (data != null) {
          const type = -1 - i;
          return new ExtData(type, data);
        }
      }
    }
    for (let i = 0; i < this.encoders.length; i++) {
      const encodeExt = this.encoders[i];
      if (encodeExt != null) {
        const data = encodeExt(object, context);
        if (data != null) {
          const type = i;
          return new ExtData(type, data);
        }
      }
    }
    if (object instanceof ExtData) {
      return object;
    }
    return null;
  }
  decode(data, type, context) {
    const decodeExt = type < 0 ? this.builtInDecoders[-1 - type] : this.decoders[type];
    if (decodeExt) {
      return decodeExt(data, type, context);
    } else {
      return new ExtData(type, data);
    }
  }
};

// node_modules/@msgpack/msgpack/dist.esm/utils/typedArrays.mjs
function isArrayBufferLike(buffer) {
  return buffer instanceof ArrayBuffer || typeof SharedArrayBuffer !== "undefined" && buffer instanceof SharedArrayBuffer;
}
function ensureUint8Array(buffer) {
  if (buffer instanceof Uint8Array) {
    return buffer;
  } else if (ArrayBuffer.isView(buffer)) {
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  } else if (isArrayBufferLike(buffer)) {
    return new Uint8Array(buffer);
  } else {
    return Uint8Array.from(buffer);
  }
}

// node_modules/@msgpack/msgpack/dist.esm/utils/prettyByte.mjs
function prettyByte(byte) {
  return `${byte < 0 ? "-" : ""}0x${Math.abs(byte).toString(16).padStart(2, "0")}`;
}

// node_modules/@msgpack/msgpack/dist.esm/CachedKeyDecoder.mjs
var DEFAULT_MAX_KEY_LENGTH = 16;
var DEFAULT_MAX_LENGTH_PER_KEY = 16;
var CachedKeyDecoder = class {
  hit = 0;
  miss = 0;
  caches;
  maxKeyLength;
  maxLengthPerKey;
  constructor(maxKeyLength = DEFAULT_MAX_KEY_LENGTH, maxLengthPerKey = DEFAULT_MAX_LENGTH_PER_KEY) {
    this.maxKeyLength = maxKeyLength;
    this.maxLengthPerKey = maxLengthPerKey;
    this.caches = [];
    for (let i = 0; i < this.maxKeyLength; i++) {
      this.caches.push([]);
    }
  }
  canBeCached(byteLength) {
    return byteLength > 0 && byteLength <= this.maxKeyLength;
  }
  find(bytes, inputOffset, byteLength) {
    const records = this.caches[byteLength - 1];
    FIND_CHUNK: for (const record of records) {
      const recordBytes = record.bytes;
      for (let j = 0; j < byteLength; j++) {
        if (recordBytes[j] !== bytes[inputOffset + j]) {
          continue FIND_CHUNK;
        }
      }
      return record.str;
    }
    return null;
  }
  store(bytes, value) {
    const records = this.caches[bytes.length - 1];
    const record = { bytes, str: value };
    if (records.length >= this.maxLengthPerKey) {
      records[Math.random() * records.length | 0] = record;
    } else {
      records.push(record);
    }
  }
  decode(bytes, inputOffset, byteLength) {
    const cachedValue = this.find(bytes, inputOffset, byteLength);
    if (cachedValue != null) {
      this.hit++;
      return cachedValue;
    }
    this.miss++;
    const str = utf8DecodeJs(bytes, inputOffset, byteLength);
    const slicedCopyOfBytes = Uint8Array.prototype.slice.call(bytes, inputOffset, inputOffset + byteLength);
    this.store(slicedCopyOfBytes, str);
    return str;
  }
};

// node_modules/@msgpack/msgpack/dist.esm/Decoder.mjs
var STATE_ARRAY = "array";
var STATE_MAP_KEY = "map_key";
var STATE_MAP_VALUE = "map_value";
var mapKeyConverter = (key) => {
  if (typeof key === "string" || typeof key === "number") {
    return key;
  }
  throw new DecodeError("The type of key must be string or number but " + typeof key);
};
var StackPool = class {
  stack = [];
  stackHeadPosition = -1;
  get length() {
    return this.stackHeadPosition + 1;
  }
  top() {
    return this.stack[this.stackHeadPosition];
  }
  pushArrayState(size) {
    const state = this.getUninitializedStateFromPool();
    state.type = STATE_ARRAY;
    state.position = 0;
    state.size = size;
    state.array = new Array(size);
  }
  pushMapState(size) {
    const state = this.getUninitializedStateFromPool();
    state.type = STATE_MAP_KEY;
    state.readCount = 0;
    state.size = size;
    state.map = {};
  }
  getUninitializedStateFromPool() {
    this.stackHeadPosition++;
    if (this.stackHeadPosition === this.stack.length) {
      const partialState = {
        type: void 0,
        size: 0,
        array: void 0,
        position: 0,
        readCount: 0,
        map: void 0,
        key: null
      };
      this.stack.push(partialState);
    }
    return this.stack[this.stackHeadPosition];
  }
  release(state) {
    const topStackState = this.stack[this.stackHeadPosition];
    if (topStackState !== state) {
      throw new Error("Invalid stack state. Released state is not on top of the stack.");
    }
    if (state.type === STATE_ARRAY) {
      const partialState = state;
      partialState.size = 0;
      partialState.array = void 0;
      partialState.position = 0;
      partialState.type = void 0;
    }
    if (state.type === STATE_MAP_KEY || state.type === STATE_MAP_VALUE) {
      const partialState = state;
      partialState.size = 0;
      partialState.map = void 0;
      partialState.readCount = 0;
      partialState.type = void 0;
    }
    this.stackHeadPosition--;
  }
  reset() {
    this.stack.length = 0;
    this.stackHeadPosition = -1;
  }
};
var HEAD_BYTE_REQUIRED = -1;
var EMPTY_VIEW = new DataView(new ArrayBuffer(0));
var EMPTY_BYTES = new Uint8Array(EMPTY_VIEW.buffer);
try {
  EMPTY_VIEW.getInt8(0);
} catch (e) {
  if (!(e instanceof RangeError)) {
    throw new Error("This module is not supported in the current JavaScript engine because DataView does not throw RangeError on out-of-bounds access");
  }
}
var MORE_DATA = new RangeError("Insufficient data");
var sharedCachedKeyDecoder = new CachedKeyDecoder();
var Decoder = class _Decoder {
  extensionCodec;
  context;
  useBigInt64;
  rawStrings;
  maxStrLength;
  maxBinLength;
  maxArrayLength;
  maxMapLength;
  maxExtLength;
  keyDecoder;
  mapKeyConverter;
  totalPos = 0;
  pos = 0;
  view = EMPTY_VIEW;
  bytes = EMPTY_BYTES;
  headByte = HEAD_BYTE_REQUIRED;
  stack = new StackPool();
  entered = false;
  constructor(options) {
    this.extensionCodec = options?.extensionCodec ?? ExtensionCodec.defaultCodec;
    this.context = options?.context;
    this.useBigInt64 = options?.useBigInt64 ?? false;
    this.rawStrings = options?.rawStrings ?? false;
    this.maxStrLength = options?.maxStrLength ?? UINT32_MAX;
    this.maxBinLength = options?.maxBinLength ?? UINT32_MAX;
    this.maxArrayLength = options?.maxArrayLength ?? UINT32_MAX;
    this.maxMapLength = options?.maxMapLength ?? UINT32_MAX;
    this.maxExtLength = options?.maxExtLength ?? UINT32_MAX;
    this.keyDecoder = options?.keyDecoder !== void 0 ? options.keyDecoder : sharedCachedKeyDecoder;
    this.mapKeyConverter = options?.mapKeyConverter ?? mapKeyConverter;
  }
  clone() {
    return new _Decoder({
      extensionCodec: this.extensionCodec,
      context: this.context,
      useBigInt64: this.useBigInt64,
      rawStrings: this.rawStrings,
      maxStrLength: this.maxStrLength,
      maxBinLength: this.maxBinLength,
      maxArrayLength: this.maxArrayLength,
      maxMapLength: this.maxMapLength,
      maxExtLength: this.maxExtLength,
      keyDecoder: this.keyDecoder
    });
  }
  reinitializeState() {
    this.totalPos = 0;
    this.headByte = HEAD_BYTE_REQUIRED;
    this.stack.reset();
  }
  setBuffer(buffer) {
    const bytes = ensureUint8Array(buffer);
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.pos = 0;
  }
  appendBuffer(buffer) {
    if (this.headByte === HEAD_BYTE_REQUIRED && !this.hasRemaining(1)) {
      this.setBuffer(buffer);
    } else {
      const remainingData = this.bytes.subarray(this.pos);
      const newData = ensureUint8Array(buffer);
      const newBuffer = new Uint8Array(remainingData.length + newData.length);
      newBuffer.set(remainingData);
      newBuffer.set(newData, remainingData.length);
      this.setBuffer(newBuffer);
    }
  }
  hasRemaining(size) {
    return this.view.byteLength - this.pos >= size;
  }
  createExtraByteError(posToShow) {
    const { view, pos } = this;
    return new RangeError(`Extra ${view.byteLength - pos} of ${view.byteLength} byte(s) found at buffer[${posToShow}]`);
  }
  /**
   * @throws {@link DecodeError}
   * @throws {@link RangeError}
   */
  decode(buffer) {
    if (this.entered) {
      const instance = this.clone();
      return instance.decode(buffer);
    }
    try {
      this.entered = true;
      this.reinitializeState();
      this.setBuffer(buffer);
      const object = this.doDecodeSync();
      if (this.hasRemaining(1)) {
        throw this.createExtraByteError(this.pos);
      }
      return object;
    } finally {
      this.entered = false;
    }
  }
  *decodeMulti(buffer) {
    if (this.entered) {
      const instance = this.clone();
      yield* instance.decodeMulti(buffer);
      return;
    }
    try {
      this.entered = true;
      this.reinitializeState();
      this.setBuffer(buffer);
      while (this.hasRemaining(1)) {
        yield this.doDecodeSync();
      }
    } finally {
      this.entered = false;
    }
  }
  async decodeAsync(stream) {
    if (this.entered) {
      const instance = this.clone();
      return instance.decodeAsync(stream);
    }
    try {
      this.entered = true;
      let decoded = false;
      let object;
      for await (const buffer of stream) {
        if (decoded) {
          this.entered = false;
          throw this.createExtraByteError(this.totalPos);
        }
        this.appendBuffer(buffer);
        try {
          object = this.doDecodeSync();
          decoded = true;
        } catch (e) {
          if (!(e instanceof RangeError)) {
            throw e;
          }
        }
        this.totalPos += this.pos;
      }
      if (decoded) {
        if (this.hasRemaining(1)) {
          throw this.createExtraByteError(this.totalPos);
        }
        return object;
      }
      const { headByte, pos, totalPos } = this;
      throw new RangeError(`Insufficient data in parsing ${prettyByte(headByte)} at ${totalPos} (${pos} in the current buffer)`);
    } finally {
      this.entered = false;
    }
  }
  decodeArrayStream(stream) {
    return this.decodeMultiAsync(stream, true);
  }
  decodeStream(stream) {
    return this.decodeMultiAsync(stream, false);
  }
  async *decodeMultiAsync(stream, isArray) {
    if (this.entered) {
      const instance = this.clone();
      yield* instance.decodeMultiAsync(stream, isArray);
      return;
    }
    try {
      this.entered = true;
      let isArrayHeaderRequired = isArray;
      let arrayItemsLeft = -1;
      for await (const buffer of stream) {
        if (isArray && arrayItemsLeft === 0) {
          throw this.createExtraByteError(this.totalPos);
        }
        this.appendBuffer(buffer);
        if (isArrayHeaderRequired) {
          arrayItemsLeft = this.readArraySize();
          isArrayHeaderRequired = false;
          this.complete();
        }
        try {
          while (true) {
            yield this.doDecodeSync();
            if (--arrayItemsLeft === 0) {
              break;
            }
          }
        } catch (e) {
          if (!(e instanceof RangeError)) {
            throw e;
          }
        }
        this.totalPos += this.pos;
      }
    } finally {
      this.entered = false;
    }
  }
  doDecodeSync() {
    DECODE: while (true) {
      const headByte = this.readHeadByte();
      let object;
      if (headByte >= 224) {
        object = headByte - 256;
      } else if (headByte < 192) {
        if (headByte < 128) {
          object = headByte;
        } else if (headByte < 144) {
          const size = headByte - 128;
          if (size !== 0) {
            this.pushMapState(size);
            this.complete();
            continue DECODE;
          } else {
            object = {};
          }
        } else if (headByte < 160) {
          const size = headByte - 144;
          if (size !== 0) {
            this.pushArrayState(size);
            this.complete();
            continue DECODE;
          } else {
            object = [];
          }
        } else {
          const byteLength = headByte - 160;
          object = this.decodeString(byteLength, 0);
        }
      } else if (headByte === 192) {
        object = null;
      } else if (headByte === 194) {
        object = false;
      } else if (headByte === 195) {
        object = true;
      } else if (headByte === 202) {
        object = this.readF32();
      } else if (headByte === 203) {
        object = this.readF64();
      } else if (headByte === 204) {
        object = this.readU8();
      } else if (headByte === 205) {
        object = this.readU16();
      } else if (headByte === 206) {
        object = this.readU32();
      } else if (headByte === 207) {
        if (this.useBigInt64) {
          object = this.readU64AsBigInt();
        } else {
          object = this.readU64();
        }
      } else if (headByte === 208) {
        object = this.readI8();
      } else if (headByte === 209) {
        object = this.readI16();
      } else if (headByte === 210) {
        object = this.readI32();
      } else if (headByte === 211) {
        if (this.useBigInt64) {
          object = this.readI64AsBigInt();
        } else {
          object = this.readI64();
        }
      } else if (headByte === 217) {
        const byteLength = this.lookU8();
        object = this.decodeString(byteLength, 1);
      } else if (headByte === 218) {
        const byteLength = this.lookU16();
        object = this.decodeString(byteLength, 2);
      } else if (headByte === 219) {
        const byteLength = this.lookU32();
        object = this.decodeString(byteLength, 4);
      } else if (headByte === 220) {
        const size = this.readU16();
        if (size !== 0) {
          this.pushArrayState(size);
          this.complete();
          continue DECODE;
        } else {
          object = [];
        }
      } else if (headByte === 221) {
        const size = this.readU32();
        if (size !== 0) {
          this.pushArrayState(size);
          this.complete();
          continue DECODE;
        } else {
          object = [];
        }
      } else if (headByte === 222) {
        const size = this.readU16();
        if (size !== 0) {
          this.pushMapState(size);
          this.complete();
          continue DECODE;
        } else {
          object = {};
        }
      } else if (headByte === 223) {
        const size = this.readU32();
        if (size !== 0) {
          this.pushMapState(size);
          this.complete();
          continue DECODE;
        } else {
          object = {};
        }
      } else if (headByte === 196) {
        const size = this.lookU8();
        object = this.decodeBinary(size, 1);
      } else if (headByte === 197) {
        const size = this.lookU16();
        object = this.decodeBinary(size, 2);
      } else if (headByte === 198) {
        const size = this.lookU32();
        object = this.decodeBinary(size, 4);
      } else if (headByte === 212) {
        object = this.decodeExtension(1, 0);
      } else if (headByte === 213) {
        object = this.decodeExtension(2, 0);
      } else if (headByte === 214) {
        object = this.decodeExtension(4, 0);
      } else if (headByte === 215) {
        object = this.decodeExtension(8, 0);
      } else if (headByte === 216) {
        object = this.decodeExtension(16, 0);
      } else if (headByte === 199) {
        const size = this.lookU8();
        object = this.decodeExtension(size, 1);
      } else if (headByte === 200) {
        const size = this.lookU16();
        object = this.decodeExtension(size, 2);
      } else if (headByte === 201) {
        const size = this.lookU32();
        object = this.decodeExtension(size, 4);
      } else {
        throw new DecodeError(`Unrecognized type byte: ${prettyByte(headByte)}`);
      }
      this.complete();
      const stack = this.stack;
      while (stack.length > 0) {
        const state = stack.top();
        if (state.type === STATE_ARRAY) {
          state.array[state.position] = object;
          state.position++;
          if (state.position === state.size) {
            object = state.array;
            stack.release(state);
          } else {
            continue DECODE;
          }
        } else if (state.type === STATE_MAP_KEY) {
          if (object === "__proto__") {
            throw new DecodeError("The key __proto__ is not allowed");
          }
          state.key = this.mapKeyConverter(object);
          state.type = STATE_MAP_VALUE;
          continue DECODE;
        } else {
          state.map[state.key] = object;
          state.readCount++;
          if (state.readCount === state.size) {
            object = state.map;
            stack.release(state);
          } else {
            state.key = null;
            state.type = STATE_MAP_KEY;
            continue DECODE;
          }
        }
      }
      return object;
    }
  }
  readHeadByte() {
    if (this.headByte === HEAD_BYTE_REQUIRED) {
      this.headByte = this.readU8();
    }
    return this.headByte;
  }
  complete() {
    this.headByte = HEAD_BYTE_REQUIRED;
  }
  readArraySize() {
    const headByte = this.readHeadByte();
    switch (headByte) {
      case 220:
        return this.readU16();
      case 221:
        return this.readU32();
      default: {
        if (headByte < 160) {
          return headByte - 144;
        } else {
          throw new DecodeError(`Unrecognized array type byte: ${prettyByte(headByte)}`);
        }
      }
    }
  }
  pushMapState(size) {
    if (size > this.maxMapLength) {
      throw new DecodeError(`Max length exceeded: map length (${size}) > maxMapLengthLength (${this.maxMapLength})`);
    }
    this.stack.pushMapState(size);
  }
  pushArrayState(size) {
    if (size > this.maxArrayLength) {
      throw new DecodeError(`Max length exceeded: array length (${size}) > maxArrayLength (${this.maxArrayLength})`);
    }
    this.stack.pushArrayState(size);
  }
  decodeString(byteLength, headerOffset) {
    if (!this.rawStrings || this.stateIsMapKey()) {
      return this.decodeUtf8String(byteLength, headerOffset);
    }
    return this.decodeBinary(byteLength, headerOffset);
  }
  /**
   * @throws {@link RangeError}
   */
  decodeUtf8String(byteLength, headerOffset) {
    if (byteLength > this.maxStrLength) {
      throw new DecodeError(`Max length exceeded: UTF-8 byte length (${byteLength}) > maxStrLength (${this.maxStrLength})`);
    }
    if (this.bytes.byteLength < this.pos + headerOffset + byteLength) {
      throw MORE_DATA;
    }
    const offset = this.pos + headerOffset;
    let object;
    if (this.stateIsMapKey() && this.keyDecoder?.canBeCached(byteLength)) {
      object = this.keyDecoder.decode(this.bytes, offset, byteLength);
    } else {
      object = utf8Decode(this.bytes, offset, byteLength);
    }
    this.pos += headerOffset + byteLength;
    return object;
  }
  stateIsMapKey() {
    if (this.stack.length > 0) {
      const state = this.stack.top();
      return state.type === STATE_MAP_KEY;
    }
    return false;
  }
  /**
   * @throws {@link RangeError}
   */
  decodeBinary(byteLength, headOffset) {
    if (byteLength > this.maxBinLength) {
      throw new DecodeError(`Max length exceeded: bin length (${byteLength}) > maxBinLength (${this.maxBinLength})`);
    }
    if (!this.hasRemaining(byteLength + headOffset)) {
      throw MORE_DATA;
    }
    const offset = this.pos + headOffset;
    const object = this.bytes.subarray(offset, offset + byteLength);
    this.pos += headOffset + byteLength;
    return object;
  }
  decodeExtension(size, headOffset) {
    if (size > this.maxExtLength) {
      throw new DecodeError(`Max length exceeded: ext length (${size}) > maxExtLength (${this.maxExtLength})`);
    }
    const extType = this.view.getInt8(this.pos + headOffset);
    const data = this.decodeBinary(
      size,
      headOffset + 1
      /* extType */
    );
    return this.extensionCodec.decode(data, extType, this.context);
  }
  lookU8() {
    return this.view.getUint8(this.pos);
  }
  lookU16() {
    return this.view.getUint16(this.pos);
  }
  lookU32() {
    return this.view.getUint32(this.pos);
  }
  readU8() {
    const value = this.view.getUint8(this.pos);
    this.pos++;
    return value;
  }
  readI8() {
    const value = this.view.getInt8(this.pos);
    this.pos++;
    return value;
  }
  readU16() {
    const value = this.view.getUint16(this.pos);
    this.pos += 2;
    return value;
  }
  readI16() {
    const value = this.view.getInt16(this.pos);
    this.pos += 2;
    return value;
  }
  readU32() {
    const value = this.view.getUint32(this.pos);
    this.pos += 4;
    return value;
  }
  readI32() {
    const value = this.view.getInt32(this.pos);
    this.pos += 4;
    return value;
  }
  readU64() {
    const value = getUint64(this.view, this.pos);
    this.pos += 8;
    return value;
  }
  readI64() {
    const value = getInt64(this.view, this.pos);
    this.pos += 8;
    return value;
  }
  readU64AsBigInt() {
    const value = this.view.getBigUint64(this.pos);
    this.pos += 8;
    return value;
  }
  readI64AsBigInt() {
    const value = this.view.getBigInt64(this.pos);
    this.pos += 8;
    return value;
  }
  readF32() {
    const value = this.view.getFloat32(this.pos);
    this.pos += 4;
    return value;
  }
  readF64() {
    const value = this.view.getFloat64(this.pos);
    this.pos += 8;
    return value;
  }
};

// node_modules/@msgpack/msgpack/dist.esm/decode.mjs
function decode(buffer, options) {
  const decoder = new Decoder(options);
  return decoder.decode(buffer);
}

// src/message.ts
var ProtocolError = class extends Error {
  constructor(kind, text) {
    super(`${kind}: ${text}`);
    this.kind = kind;
    this.name = "ProtocolError";
  }
  kind;
};
var TYPES = ["data", "hello", "reply", "heartbeat", "lag", "drain", "error"];
var REASONS = ["rate", "slow", "catch-up"];
var IMAGE = 1;
var CONFLATED = 2;
var GAP = 16;
function int(v, what, least, most) {
  if (typeof v === "bigint") throw new ProtocolError("range", what);
  if (typeof v !== "number" || !Number.isFinite(v)) throw new ProtocolError("type", what);
  if (!Number.isInteger(v)) throw new ProtocolError("type", what);
  if (v < least || v > most) throw new ProtocolError("range", what);
  return v;
}
function parseMessage(bytes) {
  let m;
  try {
    m = decode(bytes, { useBigInt64: false, maxArrayLength: bytes.length, maxMapLength: bytes.length });
  } catch (e) {
    const text = String(e);
    throw new ProtocolError(/Extra/.test(text) ? "trailing" : /Insufficient|RangeError|Offset|Max length/.test(text) ? "truncated" : "type", text);
  }
  if (!Array.isArray(m)) throw new ProtocolError("type", "a message is an array");
  if (m.length < 2) throw new ProtocolError("count", "a message has two elements at least");
  const type = TYPES[int(m[0], "type", 0, 255)];
  if (type === void 0) return { type: "unknown" };
  if (type !== "data") {
    if (m.length !== 2) throw new ProtocolError("count", type);
    return control(type, m[1]);
  }
  const updates = [];
  for (let i = 2; i < m.length; i++) updates.push(parseUpdate(m[i]));
  return { type, sentAt: int(m[1], "sent_at", 0, MAX_INT), updates };
}
function parseUpdate(u) {
  if (!Array.isArray(u)) throw new ProtocolError("type", "an update is an array");
  if (u.length < 4) throw new ProtocolError("count", "an update has four elements at least");
  const key = int(u[0], "id", 0, 2 ** 32 - 1);
  const seq = int(u[1], "seq", 0, MAX_INT);
  const flags = int(u[2], "flags", 0, 255);
  const bits = int(u[3], "mask", 0, 2 ** 32 - 1);
  const image = (flags & IMAGE) !== 0;
  const values = [];
  let at = image ? 5 : 4;
  const history = image && u.length > 4 ? int(u[4], "history", 0, MAX_INT) : 0;
  for (let f = 0; f < 32; f++) {
    if (!(bits >>> f & 1)) continue;
    if (at >= u.length) throw new ProtocolError("count", "fewer values than the mask says");
    const v = u[at++];
    const value = v === null ? null : int(v, "value", -MAX_INT, MAX_INT);
    if (f < FIELDS.length) values[f] = value;
  }
  if (at !== u.length) throw new ProtocolError("count", "more values than the mask says");
  const conflated = flags & CONFLATED ? REASONS[(flags >> 2 & 3) - 1] ?? "catch-up" : null;
  return { key, seq, image, gap: (flags & GAP) !== 0, conflated, history, mask: bits & (1 << FIELDS.length) - 1, values };
}
function control(type, body) {
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw new ProtocolError("type", `${type} is a map`);
  return { ...body, type };
}
function parseMessageJSON(text) {
  let m;
  try {
    m = JSON.parse(text);
  } catch (e) {
    throw new ProtocolError("syntax", String(e));
  }
  if (typeof m !== "object" || m === null || Array.isArray(m)) throw new ProtocolError("type", "a message is an object");
  const { type, sent_at, updates } = m;
  if (typeof type !== "string") throw new ProtocolError("type", "type");
  if (!TYPES.includes(type)) return { type: "unknown" };
  if (type !== "data") return control(type, m);
  if (!Array.isArray(updates)) throw new ProtocolError("type", "updates");
  return { type, sentAt: int(sent_at, "sent_at", 0, MAX_INT), updates: updates.map(parseUpdateJSON) };
}
function parseUpdateJSON(x) {
  if (typeof x !== "object" || x === null || Array.isArray(x)) throw new ProtocolError("type", "an update is an object");
  const o = x;
  if (typeof o.symbol !== "string" || o.seq === void 0) throw new ProtocolError("type", "an update has symbol and seq");
  const u = {
    key: o.symbol,
    seq: int(o.seq, "seq", 0, MAX_INT),
    image: flag(o, "image"),
    gap: flag(o, "gap"),
    conflated: null,
    history: o.history === void 0 ? 0 : int(o.history, "history", 0, MAX_INT),
    mask: 0,
    values: []
  };
  if (o.conflated !== void 0) {
    if (!REASONS.includes(o.conflated)) throw new ProtocolError("type", "conflated");
    u.conflated = o.conflated;
  }
  for (const name in o) {
    const f = INDEX[name];
    if (f === void 0) continue;
    u.mask |= 1 << f;
    setJSON(u.values, f, o[name]);
  }
  return u;
}
function setJSON(values, f, v) {
  if (v === null) {
    values[f] = null;
  } else if (f === INDEX.status) {
    const status = STATUSES.indexOf(v);
    if (status < 0) throw new ProtocolError("type", "status");
    values[f] = status;
  } else {
    const scale = scaleOf(f);
    if (scale === void 0) {
      values[f] = int(v, FIELDS[f], -MAX_INT, MAX_INT);
      return;
    }
    if (typeof v !== "string") throw new ProtocolError("type", FIELDS[f]);
    const d = parseDecimal(v);
    if (!d) throw new ProtocolError(/^-?\d+(\.\d+)?$/.test(v) ? "range" : "syntax", FIELDS[f]);
    values[f] = d.mantissa;
    values[scale] = d.scale;
  }
}
function flag(o, name) {
  const v = o[name];
  if (v !== void 0 && typeof v !== "boolean") throw new ProtocolError("type", name);
  return v === true;
}
function symbolHash(symbol) {
  let h = 2166136261;
  for (const byte of new TextEncoder().encode(symbol)) h = Math.imul(h ^ byte, 16777619) >>> 0;
  return h;
}

// src/board.ts
var Board = class {
  quotes = /* @__PURE__ */ new Map();
  #byId = /* @__PURE__ */ new Map();
  #ids = /* @__PURE__ */ new Map();
  /** XOR of the hashes of what is subscribed, as a heartbeat has it. */
  hash = 0;
  get subs() {
    return this.#ids.size;
  }
  /** A new connection: the quotes stay, the node's numbers are another's. */
  reset() {
    this.#byId.clear();
    this.#ids.clear();
    this.hash = 0;
  }
  /** The node confirmed a symbol under a number. */
  confirm(symbol, id) {
    let q = this.quotes.get(symbol);
    if (!q) this.quotes.set(symbol, q = new Quote(symbol));
    if (!this.#ids.has(symbol)) this.hash = (this.hash ^ symbolHash(symbol)) >>> 0;
    this.#ids.set(symbol, id);
    this.#byId.set(id, q);
  }
  /** A symbol is no more subscribed to. */
  forget(symbol) {
    const id = this.#ids.get(symbol);
    if (id !== void 0) {
      this.#ids.delete(symbol);
      this.#byId.delete(id);
      this.hash = (this.hash ^ symbolHash(symbol)) >>> 0;
    }
    this.quotes.delete(symbol);
  }
  /**
   * Merges an update and returns the quote; undefined for a symbol that was given
   * up a moment ago. A seq that goes back within a history is a broken promise.
   */
  merge(u) {
    const q = typeof u.key === "number" ? this.#byId.get(u.key) : this.quotes.get(u.key);
    if (!q) return void 0;
    if (u.seq < q.seq && !(u.image && u.history !== q.history)) {
      throw new ProtocolError("range", `${q.symbol}: seq went back from ${q.seq} to ${u.seq}`);
    }
    if (u.image) {
      q.values.fill(null);
      q.history = u.history;
    }
    for (let f = 0; f < FIELDS.length; f++) {
      const v = u.values[f];
      if (v !== void 0) q.values[f] = v;
    }
    q.skipped = u.image || q.seq === 0 ? 0 : Math.max(0, u.seq - q.seq - 1);
    q.seq = u.seq;
    q.image = u.image;
    q.gap = u.gap;
    q.conflated = u.conflated;
    q.mask = u.mask;
    return q;
  }
};

// src/client.ts
var BACKOFF_FIRST_MS = 250;
var BACKOFF_MOST_MS = 1e4;
var ASK_AGAIN_FIRST_MS = 1e3;
var ASK_AGAIN_MOST_MS = 5e3;
var STALE_HEARTBEATS = 2.5;
var REQUEST_SYMBOLS = 1e3;
var isFinal = (code) => code === 1002 || code === 1003 || code === 1007 || code === 1008 || code === 1009 || code >= 4e3 && code < 4100;
var Tickwire = class extends Emitter {
  #board = new Board();
  #wanted = /* @__PURE__ */ new Map();
  #patterns = /* @__PURE__ */ new Map();
  #pending = /* @__PURE__ */ new Map();
  #later = /* @__PURE__ */ new Set();
  #options;
  #socket;
  #hello;
  #state = "connecting";
  #requests = 0;
  #attempts = 0;
  #paused = false;
  #resumes = true;
  #heard = 0;
  #drainUntil = 0;
  #askAgainMs = ASK_AGAIN_FIRST_MS;
  #timers = /* @__PURE__ */ new Set();
  #watch;
  /** Bytes of messages received. */
  bytes = 0;
  constructor(options) {
    super();
    this.#options = options;
    queueMicrotask(() => this.#connect());
  }
  get quotes() {
    return this.#board.quotes;
  }
  get state() {
    return this.#state;
  }
  /** Subscribes, now and after every reconnect; symbols or patterns such as sim:*. Errors come as events. */
  subscribe(symbols, terms = {}) {
    for (const s of symbols) this.#wanted.set(s, terms);
    if (this.#state === "open") this.#ask(symbols);
  }
  unsubscribe(symbols) {
    for (const s of symbols) {
      this.#wanted.delete(s);
      this.#later.delete(s);
    }
    if (this.#state === "open") this.#send("unsubscribe", { symbols }).catch(() => {
    });
    for (const s of symbols) this.#board.forget(s);
  }
  /** Changes rate or fields; fresh images follow. */
  set(symbols, terms) {
    for (const s of symbols) if (this.#wanted.has(s)) this.#wanted.set(s, { ...this.#wanted.get(s), ...terms });
    if (this.#state === "open") this.#send("set", { symbols, ...terms }).catch(() => {
    });
  }
  /** Silence, but for heartbeats; resume brings what changed, merged. */
  pause() {
    this.#paused = true;
    if (this.#state === "open") this.#send("pause", {}).catch(() => {
    });
  }
  resume() {
    this.#paused = false;
    if (this.#state === "open") this.#send("resume", {}).catch(() => {
    });
  }
  /** What the node says is subscribed. */
  async list() {
    return (await this.#send("list", {})).results ?? [];
  }
  /** The node's time in us; rejects while there is no connection. */
  async ping() {
    return { time: (await this.#send("ping", {})).time ?? 0 };
  }
  close() {
    this.#end("closed by us");
    this.#socket?.close(1e3);
  }
  #connect() {
    if (this.#state === "closed") return;
    const { url, encoding, token, WebSocket: given } = this.#options;
    const Socket = given ?? globalThis.WebSocket;
    if (!Socket) throw new Error("no WebSocket here: pass { WebSocket } from the ws package");
    const protocols = [`tickwire.v1.${encoding ?? "msgpack"}`];
    if (token) protocols.push(`bearer.${token}`);
    const socket = this.#socket = new Socket(url, protocols);
    socket.binaryType = "arraybuffer";
    this.#heard = Date.now();
    socket.onmessage = (e) => {
      if (socket === this.#socket) this.#received(e.data);
    };
    socket.onerror = () => {
    };
    socket.onclose = (e) => {
      if (socket === this.#socket) this.#lost(e.code, e.reason);
    };
  }
  #received(data) {
    this.#heard = Date.now();
    try {
      if (typeof data === "string") {
        this.bytes += data.length;
        this.#take(parseMessageJSON(data));
      } else {
        this.bytes += data.byteLength;
        this.#take(parseMessage(new Uint8Array(data)));
      }
    } catch (e) {
      if (!(e instanceof ProtocolError)) throw e;
      this.#resumes = false;
      this.emit("error", { code: 0, text: e.message, retry: true });
      this.#socket?.close(4e3, "protocol error");
    }
  }
  #take(m) {
    switch (m.type) {
      case "data": {
        this.#attempts = 0;
        const quotes = [];
        for (const u of m.updates) {
          const q = this.#board.merge(u);
          if (!q) continue;
          quotes.push(q);
          this.emit("quote", q, { sentAt: m.sentAt });
        }
        this.emit("batch", { sentAt: m.sentAt, quotes });
        break;
      }
      case "hello":
        this.#opened(m);
        break;
      case "reply":
        this.#attempts = 0;
        this.#answered(m);
        break;
      case "heartbeat":
        if (this.#pending.size === 0 && (m.subs !== this.#board.subs || m.hash !== this.#board.hash)) {
          this.#resumes = false;
          this.#socket?.close(4e3, "subscriptions differ");
        }
        break;
      case "lag":
        this.emit("lag", m.blocked_ms);
        break;
      case "drain":
        this.#drainUntil = Date.now() + m.within_ms;
        this.emit("drain", m.within_ms);
        break;
      case "error":
        if (m.id != null) {
          this.#pending.get(m.id)?.reject(new Error(m.text));
          this.#pending.delete(m.id);
        }
        this.emit("error", m);
    }
  }
  #opened(hello) {
    this.#hello = hello;
    this.#board.reset();
    this.#become("open", hello.node);
    this.emit("hello", hello);
    if (this.#paused) this.#send("pause", {}).catch(() => {
    });
    this.#ask([...this.#wanted.keys()]);
    clearInterval(this.#watch);
    this.#watch = setInterval(() => {
      if (Date.now() - this.#heard > STALE_HEARTBEATS * hello.heartbeat) {
        const dead = this.#socket;
        this.#lost(1006, "nothing heard");
        dead?.close();
      }
    }, hello.heartbeat / 4);
  }
  /** Subscribes to symbols, grouped by terms, bringing what is held of them. */
  #ask(symbols) {
    const groups = /* @__PURE__ */ new Map();
    for (const s of symbols) {
      const terms = this.#wanted.get(s);
      if (!terms) continue;
      const key = JSON.stringify([terms.rate ?? 0, terms.fields ?? null]);
      const g = groups.get(key);
      if (g) g.symbols.push(s);
      else groups.set(key, { terms, symbols: [s] });
    }
    const most = Math.min(REQUEST_SYMBOLS, this.#hello?.limits?.request_symbols ?? REQUEST_SYMBOLS);
    for (const { terms, symbols: all } of groups.values()) {
      for (let i = 0; i < all.length; i += most) {
        const part = all.slice(i, i + most);
        const resume = this.#resumes ? part.flatMap((s) => {
          const q = this.#board.quotes.get(s);
          return q && q.history ? [[s, q.history, q.seq]] : [];
        }) : [];
        this.#send("subscribe", { symbols: part, ...terms, ...resume.length ? { resume } : {} }, terms).catch(() => {
        });
      }
    }
    this.#resumes = true;
  }
  #answered(reply) {
    for (const r of reply.results ?? []) {
      if (r.error) {
        const code = r.error.code;
        if (r.error.retry && this.#wanted.has(r.symbol)) this.#askLater(r.symbol);
        this.emit("error", { ...r.error, code, symbol: r.symbol });
      } else if (r.id !== void 0 && (reply.op === "subscribe" || reply.op === "set")) {
        if (this.#wanted.has(r.symbol) || this.#patterns.has(reply.id)) this.#board.confirm(r.symbol, r.id);
      }
    }
    this.#pending.get(reply.id)?.resolve(reply);
    this.#pending.delete(reply.id);
  }
  /** Asks again for symbols that may appear, all at once, less and less often. */
  #askLater(symbol) {
    if (this.#later.size === 0) {
      this.#after(this.#askAgainMs * (0.5 + Math.random() / 2), () => {
        const again = [...this.#later];
        this.#later.clear();
        if (this.#state === "open") this.#ask(again);
      });
      this.#askAgainMs = Math.min(this.#askAgainMs * 2, ASK_AGAIN_MOST_MS);
    }
    this.#later.add(symbol);
  }
  #send(op, body, patternTerms) {
    const socket = this.#socket;
    if (this.#state !== "open" || !socket) return Promise.reject(new Error("not connected"));
    const id = ++this.#requests;
    if (patternTerms && body.symbols.some((s) => s.endsWith("*"))) this.#patterns.set(id, patternTerms);
    socket.send(JSON.stringify({ op, id, ...body }));
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }
  #lost(code, reason) {
    clearInterval(this.#watch);
    this.#socket = void 0;
    this.#later.clear();
    this.#patterns.clear();
    for (const p of this.#pending.values()) p.reject(new Error("connection lost"));
    this.#pending.clear();
    if (this.#state === "closed") return;
    if (isFinal(code) && reason !== "protocol error" && reason !== "subscriptions differ") {
      this.emit("error", { code, text: `the node refuses this client: ${reason || code}`, retry: false });
      this.#end(reason || `closed with ${code}`);
      return;
    }
    const drain = this.#drainUntil - Date.now();
    this.#drainUntil = 0;
    const most = drain > 0 ? drain : Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** this.#attempts++);
    const wait = Math.random() * most;
    this.#become("reconnecting", `${reason || `closed with ${code}`}; again in ${(wait / 1e3).toFixed(1)} s`);
    this.#after(wait, () => this.#connect());
  }
  #end(text) {
    clearInterval(this.#watch);
    for (const t of this.#timers) clearTimeout(t);
    this.#timers.clear();
    if (this.#state !== "closed") this.#become("closed", text);
  }
  #become(state, text) {
    this.#state = state;
    this.emit("state", { state, text });
  }
  #after(ms, fn) {
    const t = setTimeout(() => {
      this.#timers.delete(t);
      fn();
    }, ms);
    this.#timers.add(t);
  }
};
export {
  Board,
  FIELDS,
  ProtocolError,
  Quote,
  STATUSES,
  Tickwire,
  parseMessage,
  parseMessageJSON,
  symbolHash
};
