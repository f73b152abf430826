// A bundle in a C++ program, through an AOTInductor package: raw pixels into model.aoti.pt2, nothing prepared. See README.md.
#include <sys/utsname.h>

#include <ATen/ops/from_blob.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/headeronly/version.h>

#include <set>

#include "../bundle.hpp"

using torch::inductor::AOTIModelPackageLoader;

// What preproc wrote into the package. Nothing in it is loaded for that.
json contract_of(const fs::path& file) {
    if (!fs::exists(file))
        throw std::runtime_error(file.string() + ": expected an AOTInductor package, got nothing there: export the bundle with the format aoti");
    std::unordered_map<std::string, std::string> metadata;
    try {
        metadata = AOTIModelPackageLoader::load_metadata_from_package(file.string(), "model");
    } catch (const std::exception&) {  // which speaks of the archive, not of the file
        throw std::runtime_error(
            file.string() + ": expected an AOTInductor package of preproc, got a damaged one or another file: copy or export it again");
    }
    const auto found = metadata.find("preproc.contract");
    if (found == metadata.end()) throw std::runtime_error(file.string() + ": expected a package with preproc's contract, got one without");
    return json::parse(found->second);
}

// The instructions that every processor of this machine has, in Linux's words.
std::set<std::string> instructions() {
    std::ifstream file("/proc/cpuinfo");
    std::set<std::string> common;
    bool first = true;
    for (std::string line; std::getline(file, line);) {
        if (line.rfind("flags\t", 0) != 0 && line.rfind("Features\t", 0) != 0) continue;
        std::istringstream words(line.substr(line.find(':') + 1));
        const std::set<std::string> own{std::istream_iterator<std::string>(words), {}};
        if (first) common = own;
        std::erase_if(common, [&](const std::string& word) { return !own.count(word); });
        first = false;
    }
    return common;
}

// A package is machine code: on another system or processor it would not load, or end the program at the first instruction that is missing.
void check_runs_here(const json& made) {
    utsname here{};
    uname(&here);
    std::string system = here.sysname;
    std::transform(system.begin(), system.end(), system.begin(), ::tolower);
    const std::string wanted = made.at("system").get<std::string>() + ", " + made.at("machine").get<std::string>();
    const std::string own = system + ", " + here.machine, device = made.at("device");
    if (wanted != own) throw std::runtime_error("expected a package for " + own + ", got one for " + wanted);
    if (device != "cpu") throw std::runtime_error("expected a package for the cpu, got one for " + device);
    const std::string by = made.at("torch");
    int major = 0, minor = 0;  // a newer torch loads it: its C interface grows only
    if (std::sscanf(by.c_str(), "%d.%d", &major, &minor) != 2 || std::pair(major, minor) > std::pair(TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR))
        throw std::runtime_error("expected a package of torch " TORCH_VERSION " or an older one, got one of torch " + by);
    const std::set<std::string> had = instructions();
    for (const std::string name : made.at("instructions"))
        if (!had.count(name)) throw std::runtime_error("expected a package for this processor, got one that needs its instructions " + name);
}

class Model {
   public:
    explicit Model(const fs::path& file) : contract_(contract_of(file)) {
        check_runs_here(contract_.at("compiled").at("aoti"));
        loader_ = std::make_unique<AOTIModelPackageLoader>(file.string());
    }

    // NCHW or NHWC as the contract says; pixels live as long as the call.
    std::vector<Answer> operator()(npy::Array& pixels) {
        static const std::map<std::string, at::ScalarType> DTYPES = {{"uint8", at::kByte}, {"uint16", at::kUInt16}};
        static const std::map<std::string, std::string> WORDS = {{"|u1", "uint8"}, {"<u2", "uint16"}, {"<f4", "float32"}, {"<f8", "float64"}};
        const json& input = contract_.at("input");
        const std::string dtype = input.at("dtype");
        bool fits = WORDS.at(pixels.dtype) == dtype && pixels.shape.size() == input.at("shape").size();
        for (size_t i = 0; fits && i < pixels.shape.size(); ++i) {
            const json& side = input.at("shape")[i];
            fits = !side.is_number() || side.get<int64_t>() == pixels.shape[i];
        }
        if (!fits) throw std::runtime_error("expected pixels in " + dtype + " of the shape " + input.at("shape").dump() + ", got others");
        std::vector<Answer> answers;
        for (at::Tensor found : loader_->run({at::from_blob(pixels.bytes.data(), pixels.shape, DTYPES.at(dtype))})) {  // that is all
            found = found.contiguous();
            answers.push_back({found.sizes().vec(), {found.data_ptr<float>(), found.data_ptr<float>() + found.numel()}});
        }
        return answers;
    }

   private:
    json contract_;
    std::unique_ptr<AOTIModelPackageLoader> loader_;
};

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: classify BUNDLE\n");
        return 2;
    }
    return told([&] { return check_golden<Model>(argv[1], "model.aoti.pt2"); });
}
