// ONNX Runtime's official builds report their use to their makers unless this is set before the library is loaded. Prompts
// and pictures are not in it, but a confidential node sends nothing out that its operator did not ask for.
process.env.ORT_DISABLE_TELEMETRY ??= '1'
