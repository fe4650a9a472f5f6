import protobuf from 'protobufjs'

/**
 * The part of ONNX's protobuf schema that the graphs here use; field numbers from onnx/onnx.proto
 * (https://github.com/onnx/onnx/blob/v1.17.0/onnx/onnx.proto).
 */
const SCHEMA = `
syntax = "proto3";
message AttributeProto { string name=1; float f=2; int64 i=3; bytes s=4; GraphProto g=6; repeated float floats=7; repeated int64 ints=8; int32 type=20; }
message NodeProto { repeated string input=1; repeated string output=2; string name=3; string op_type=4; repeated AttributeProto attribute=5; string domain=7; }
message StringStringEntryProto { string key=1; string value=2; }
message TensorProto { repeated int64 dims=1; int32 data_type=2; string name=8; bytes raw_data=9; repeated StringStringEntryProto external_data=13; int32 data_location=14; }
message TensorShapeProto { message Dimension { oneof value { int64 dim_value=1; string dim_param=2; } } repeated Dimension dim=1; }
message TypeProto { message Tensor { int32 elem_type=1; TensorShapeProto shape=2; } Tensor tensor_type=1; }
message ValueInfoProto { string name=1; TypeProto type=2; }
message GraphProto { repeated NodeProto node=1; string name=2; repeated TensorProto initializer=5; repeated ValueInfoProto input=11; repeated ValueInfoProto output=12; }
message OperatorSetIdProto { string domain=1; int64 version=2; }
message ModelProto { int64 ir_version=1; string producer_name=2; string producer_version=3; GraphProto graph=7; repeated OperatorSetIdProto opset_import=8; }
`

const DATA_TYPES = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7 } as const
const EXTERNAL = 1
const IR_VERSION = 10
const OPSET = 21

const ATTRIBUTE_TYPES = { float: 1, int: 2, string: 3, graph: 5, ints: 7 } as const

export type DataType = keyof typeof DATA_TYPES
export type Attribute =
  | { float: number }
  | { int: number }
  | { string: string }
  | { ints: number[] }
  /** What an operator runs more than once; it may use values of the graph around it. */
  | { graph: OnnxGraph }
/** A dimension is a number, or a name where it is free. */
export type Dimensions = (number | string)[]

export type OnnxNode = {
  op: string
  domain: string
  name: string
  inputs: string[]
  outputs: string[]
  attributes: Record<string, Attribute>
}
/** Without dimensions, a value's shape is what the graph makes of it. */
export type OnnxValue = { name: string; type: DataType; dims?: Dimensions }
export type OnnxInitializer = { name: string; type: DataType; dims: number[] } & (
  | { data: Uint8Array }
  | { location: string; offset: number; bytes: number }
)
export type OnnxGraph = {
  name: string
  nodes: OnnxNode[]
  initializers: OnnxInitializer[]
  inputs: OnnxValue[]
  outputs: OnnxValue[]
}

const Model = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType('ModelProto')

/** Serialises a graph as an ONNX model file (opset 21 and com.microsoft 1). */
export function encodeOnnx(graph: OnnxGraph, producerVersion: string): Uint8Array {
  return Model.encode(
    Model.fromObject({
      ir_version: IR_VERSION,
      producer_name: 'stable-diffusion-cpu',
      producer_version: producerVersion,
      opset_import: [
        { domain: '', version: OPSET },
        { domain: 'com.microsoft', version: 1 },
      ],
      graph: toGraphProto(graph),
    }),
  ).finish()
}

function toGraphProto(graph: OnnxGraph): object {
  return {
    name: graph.name,
    node: graph.nodes.map(toNodeProto),
    initializer: graph.initializers.map(toTensorProto),
    input: graph.inputs.map(toValueProto),
    output: graph.outputs.map(toValueProto),
  }
}

function toNodeProto(node: OnnxNode): object {
  return {
    name: node.name,
    op_type: node.op,
    domain: node.domain,
    input: node.inputs,
    output: node.outputs,
    attribute: Object.entries(node.attributes).map(([name, value]) => toAttributeProto(name, value)),
  }
}

function toAttributeProto(name: string, value: Attribute): object {
  if ('float' in value) return { name, f: value.float, type: ATTRIBUTE_TYPES.float }
  if ('int' in value) return { name, i: value.int, type: ATTRIBUTE_TYPES.int }
  if ('string' in value) return { name, s: Buffer.from(value.string), type: ATTRIBUTE_TYPES.string }
  if ('graph' in value) return { name, g: toGraphProto(value.graph), type: ATTRIBUTE_TYPES.graph }
  return { name, ints: value.ints, type: ATTRIBUTE_TYPES.ints }
}

function toTensorProto(tensor: OnnxInitializer) {
  const common = { name: tensor.name, data_type: DATA_TYPES[tensor.type], dims: tensor.dims }
  if ('data' in tensor) return { ...common, raw_data: tensor.data }
  return {
    ...common,
    data_location: EXTERNAL,
    external_data: [
      { key: 'location', value: tensor.location },
      { key: 'offset', value: String(tensor.offset) },
      { key: 'length', value: String(tensor.bytes) },
    ],
  }
}

function toValueProto({ name, type, dims }: OnnxValue) {
  if (!dims) return { name, type: { tensor_type: { elem_type: DATA_TYPES[type] } } }
  const dim = dims.map((d) => (typeof d === 'string' ? { dim_param: d } : { dim_value: d }))
  return { name, type: { tensor_type: { elem_type: DATA_TYPES[type], shape: { dim } } } }
}
