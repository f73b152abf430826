// A bundle in a C++ program, through LibTorch: raw pixels into model.pt, nothing prepared. See README.md.
#include <torch/script.h>

#include "../bundle.hpp"

class Model {
   public:
    explicit Model(const fs::path& file) : module_(torch::jit::load(file.string(), torch::kCPU)) {}

    // NCHW or NHWC as the contract says; pixels live as long as the call.
    std::vector<Answer> operator()(npy::Array& pixels) {
        static const std::map<std::string, torch::Dtype> DTYPES = {{"|u1", torch::kUInt8}, {"<u2", torch::kUInt16}, {"<f4", torch::kFloat32}};
        torch::InferenceMode guard;
        torch::IValue answer = module_.forward({torch::from_blob(pixels.bytes.data(), pixels.shape, DTYPES.at(pixels.dtype))});  // that is all
        std::vector<Answer> answers;
        for (const torch::IValue& value : answer.isTuple() ? answer.toTupleRef().elements().vec() : std::vector<torch::IValue>{answer}) {
            torch::Tensor found = value.toTensor().contiguous();
            answers.push_back({found.sizes().vec(), {found.data_ptr<float>(), found.data_ptr<float>() + found.numel()}});
        }
        return answers;
    }

   private:
    torch::jit::Module module_;
};

int main(int argc, char** argv) { return check_main<Model>(argc, argv, "model.pt"); }
