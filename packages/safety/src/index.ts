export {
  createSafetyCheck,
  type SafetyCheck,
  SafetyConfig,
  SafetyUnavailable,
  type Verdict,
} from './safety-check.ts'
