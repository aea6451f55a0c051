#include "clue_words.h"

namespace microemo::eval {
namespace {

std::vector<ClueWords> visual_words() {
  const Channel visual = Channel::visual;
  return {
      {visual, "smile", {"smile", "smiles", "smiled", "smiling", "grin", "grins", "grinning", "微笑", "笑容"}},
      {visual, "frown", {"frown", "frowns", "frowned", "frowning", "furrowed", "furrows", "皱眉", "眉头紧锁"}},
      {visual, "eyebrows", {"eyebrow", "eyebrows", "brow", "brows", "眉毛"}},
      {visual, "eyes", {"eye", "eyes", "eyelid", "eyelids", "眼睛", "眼神"}},
      {visual,
       "gaze",
       {"gaze", "gazes", "gazing", "stare", "stares", "staring", "glance", "glances", "glancing", "注视", "盯着"}},
      {visual, "mouth", {"mouth", "lip", "lips", "嘴角", "嘴巴", "嘴唇"}},
      {visual, "teeth", {"teeth", "jaw", "牙"}},
      {visual, "tears", {"tear", "tears", "tearful", "crying", "cries", "cried", "weeping", "眼泪", "流泪", "哭"}},
      {visual, "blink", {"blink", "blinks", "blinking", "眨眼"}},
      {visual, "nod", {"nod", "nods", "nodding", "点头"}},
      {visual, "shaking head", {"shakes", "shaking", "摇头"}},
      {visual, "head", {"head", "lowered", "tilted", "tilts", "低头"}},
      {visual,
       "hands",
       {"hand", "hands", "finger", "fingers", "fist", "fists", "gesture", "gestures", "gesturing", "手势", "双手"}},
      {visual, "arms", {"arm", "arms", "手臂"}},
      {visual, "shoulders", {"shoulder", "shoulders", "shrug", "shrugs", "肩"}},
      {visual, "posture", {"posture", "leans", "leaning", "stands", "sits", "身体", "姿势"}},
      {visual, "expression", {"expression", "expressions", "facial", "face", "表情", "面部", "脸"}},
  };
}

std::vector<ClueWords> acoustic_words() {
  const Channel acoustic = Channel::acoustic;
  return {
      {acoustic, "voice", {"voice", "vocal", "声音", "嗓音"}},
      {acoustic, "tone", {"tone", "tones", "intonation", "语气", "语调"}},
      {acoustic,
       "loud",
       {"loud", "loudly", "shout", "shouts", "shouting", "yell", "yells", "yelling", "roar", "roared", "大声", "喊"}},
      {acoustic, "quiet", {"quiet", "quietly", "soft", "softly", "whisper", "whispers", "whispering", "低声", "轻声"}},
      {acoustic, "pitch", {"pitch", "high-pitched", "low-pitched", "音调", "音高"}},
      {acoustic, "fast", {"quickly", "rapid", "rapidly", "fast", "hurried", "语速快", "语速较快"}},
      {acoustic, "slow", {"slowly", "slow", "语速慢", "语速较慢", "缓慢"}},
      {acoustic, "pause", {"pause", "pauses", "hesitates", "hesitating", "stutters", "stammers", "停顿", "结巴"}},
      {acoustic, "tremble", {"tremble", "trembles", "trembling", "shaky", "quivering", "颤抖"}},
      {acoustic, "sigh", {"sigh", "sighs", "sighing", "叹气"}},
      {acoustic, "sob", {"sob", "sobs", "sobbing", "choked", "哽咽", "抽泣"}},
      {acoustic,
       "laugh",
       {"laugh", "laughs", "laughed", "laughing", "laughter", "chuckle", "chuckles", "giggles", "笑声", "大笑"}},
      {acoustic, "volume", {"volume", "音量"}},
      {acoustic, "stress", {"emphasis", "emphasizes", "stressed", "重音"}},
      {acoustic, "breath", {"breath", "breathing", "gasp", "gasps", "呼吸", "喘"}},
  };
}

std::vector<ClueWords> lexical_words() {
  const Channel lexical = Channel::lexical;
  return {
      {lexical, "says", {"says", "said", "saying", "mentions", "mentioned", "states", "stated", "tells", "说", "提到"}},
      {lexical, "subtitle", {"subtitle", "subtitles", "text", "字幕", "文本"}},
      {lexical, "words", {"word", "words", "phrase", "sentence", "utterance", "话", "台词"}},
      {lexical, "ask", {"ask", "asks", "asked", "asking", "question", "questions", "questioning", "问", "疑问"}},
      {lexical, "thank", {"thank", "thanks", "gratitude", "感谢", "谢谢"}},
      {lexical, "apology", {"sorry", "apologizes", "apology", "道歉", "对不起"}},
      {lexical, "complaint", {"complains", "complaining", "complaint", "blames", "blaming", "抱怨", "指责"}},
      {lexical, "praise", {"praise", "praises", "compliment", "compliments", "称赞", "夸"}},
      {lexical, "irony", {"irony", "ironic", "sarcasm", "sarcastic", "讽刺", "反讽"}},
  };
}

}  // namespace

const std::vector<ClueWords>& clue_words() {
  static const std::vector<ClueWords> all = [] {
    std::vector<ClueWords> words = visual_words();
    for (const auto& more : {acoustic_words(), lexical_words()}) words.insert(words.end(), more.begin(), more.end());
    return words;
  }();
  return all;
}

}  // namespace microemo::eval
