// A bundle in a C++ program, through ExecuTorch's runtime: raw pixels into model.pte, nothing prepared. See README.md.
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/platform/platform.h>

#include "../bundle.hpp"

namespace et = executorch::extension;
using executorch::aten::ScalarType;
using executorch::runtime::Error;
using executorch::runtime::Program;

class Model {
   public:
    explicit Model(const fs::path& file) : module_(file.string()) {
        check(module_.load(Program::Verification::InternalConsistency), "a program of ExecuTorch in " + file.string());
        check(module_.load_forward(), "a program that this runtime has the kernels for in " + file.string());
    }

    // NCHW or NHWC as the contract says, a batch of as many as it says at most; pixels live as long as the call.
    std::vector<Answer> operator()(npy::Array& pixels) {
        static const std::map<std::string, ScalarType> DTYPES = {{"|u1", ScalarType::Byte}, {"<f4", ScalarType::Float}};
        const std::vector<executorch::aten::SizesType> shape(pixels.shape.begin(), pixels.shape.end());
        const auto found = module_.forward(et::from_blob(pixels.bytes.data(), shape, DTYPES.at(pixels.dtype)));  // that is all
        check(found.error(), "an answer");
        std::vector<Answer> answers;
        for (const auto& value : found.get()) {
            const auto& tensor = value.toTensor();
            if (tensor.scalar_type() != ScalarType::Float) throw std::runtime_error("expected outputs in float32, got others");
            const float* values = tensor.const_data_ptr<float>();
            answers.push_back({{tensor.sizes().begin(), tensor.sizes().end()}, {values, values + tensor.numel()}});
        }
        return answers;
    }

   private:
    static void check(Error error, const std::string& expected) {
        if (error == Error::Ok) return;
        throw std::runtime_error("expected " + expected + ", got ExecuTorch's error " + std::to_string(static_cast<int>(error)));
    }

    et::Module module_;
};

// ExecuTorch's default writes notes to stderr, too: at every start five lines about the machine's cores.
void log_errors(et_timestamp_t, et_pal_log_level_t level, const char* file, const char*, size_t line, const char* message, size_t) {
    if (level == kError || level == kFatal) std::fprintf(stderr, "%s:%zu: %s\n", file, line, message);
}

int main(int argc, char** argv) {
    executorch::runtime::register_pal(executorch::runtime::PalImpl::create(log_errors, __FILE__));
    return check_main<Model>(argc, argv, "model.pte");
}
